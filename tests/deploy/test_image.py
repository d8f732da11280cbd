"""The Dockerfile agrees with the code. Nothing here builds an image."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib

import pytest

from deploy.manifests import DEPLOY, ROOT, dockerfile, image_environment
from flows.settings.loading import Settings

ROOMS = ("connectors", "models", "flows", "sdk")


def rest_of(name: str) -> list[str]:
    return [rest for each, rest in dockerfile() if each == name]


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts")) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint, which has no wheel for this machine")
    found = subprocess.run([hadolint, str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_both_stages_start_from_one_digest_of_a_debian_python_that_the_pipeline_runs_on() -> None:
    images = {rest.split()[0] for rest in rest_of("FROM")}
    assert len(images) == 1
    found = re.fullmatch(r"python:(\d+)\.(\d+)\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", images.pop())
    assert found is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["uv"]["dependency-groups"]["pipeline"]["requires-python"] == ">=3.11,<3.13"
    assert (3, 11) <= (int(found[1]), int(found[2])) < (3, 13)


def test_the_image_runs_aftercall_as_a_user_that_is_not_root() -> None:
    (user,) = rest_of("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert [json.loads(rest) for rest in rest_of("ENTRYPOINT")] == [["aftercall"]]
    names = [name for name, _ in dockerfile()]
    assert "RUN" not in names[names.index("USER") :]


def test_the_image_holds_every_room_that_the_pipeline_imports_and_no_other() -> None:
    copied = [word for rest in rest_of("COPY") if not rest.startswith("--from") for word in rest.split()[:-1]]
    assert {word for word in copied if (ROOT / word).is_dir()} == set(ROOMS)
    assert all((ROOT / word).exists() for word in copied)
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert kept[1] == "*"
    for word in copied:
        assert f"!{word}" in kept


def test_nothing_but_what_the_image_is_made_of_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    for name in (".git", ".venv", "tests", "deploy", "aftercall-demo", "aftercall-data", ".env"):
        assert not any(fnmatch.fnmatch(name, pattern) for pattern in let_in)


def test_the_environment_of_the_image_is_made_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.settings.loading import load

    given = image_environment()
    for name, value in given.items():
        if name.startswith("AFTERCALL_"):
            monkeypatch.setenv(name, value)
    service = load().service
    assert service.host == "0.0.0.0"  # noqa: S104 - within a container
    assert "BYTEWAX_DATAFLOW_API_ENABLED" not in given


def test_the_port_and_the_path_of_the_health_check_are_those_of_the_server() -> None:
    port = str(Settings().service.port)
    assert rest_of("EXPOSE") == [port]
    command = json.loads(rest_of("HEALTHCHECK")[0].partition("CMD ")[2])
    assert f"'{port}'" in command[-1]
    assert "/healthz" in command[-1]


@pytest.mark.parametrize(("path", "code"), [("/healthz", 0), ("/nothing", 1)])
def test_the_health_check_runs(path: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from flows.service.health import Health
    from flows.service.health_server import serve

    minute = timedelta(minutes=1)
    server = serve(Health(stalled_after=minute, snapshot_every=minute), "127.0.0.1", 0)
    monkeypatch.setenv("AFTERCALL_SERVICE__PORT", str(server.port))
    _, *command = json.loads(rest_of("HEALTHCHECK")[0].partition("CMD ")[2])
    command[-1] = command[-1].replace("/healthz", path)
    done = subprocess.run([sys.executable, *command], capture_output=True, check=False)
    server.close()
    assert done.returncode == code
