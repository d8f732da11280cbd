"""All that is installed has its version and its hashes in constraints.txt, which `make lock` writes."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.manifests import DEPLOY, ROOT
from harness.waiting import HANG_S

TEXT = (ROOT / "constraints.txt").read_text(encoding="utf-8")
BLOCK = re.compile(r"^(\S+)==(\S+?)(?: ; [^\n]*?)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.MULTILINE)
PINNED = {canonicalize_name(name): version for name, version, _ in BLOCK.findall(TEXT)}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OF_THE_ENVIRONMENT = {"aftercall", "pip", "setuptools"}
"""The SDK itself, and what `python -m venv` brings."""


def test_every_package_has_hashes_and_there_is_nothing_else() -> None:
    assert len(PINNED) > 60
    assert re.sub(r"^#.*\n", "", BLOCK.sub("", TEXT), flags=re.MULTILINE) == ""
    assert "://" not in TEXT, "the address of an index is that of the machine that wrote the file"


def required() -> Iterator[Requirement]:
    lists = [
        PROJECT["build-system"]["requires"],
        PROJECT["project"]["dependencies"],
        *PROJECT["dependency-groups"].values(),
    ]
    yield from (Requirement(text) for one in lists for text in one)


@pytest.mark.parametrize("requirement", [*required()], ids=str)
def test_what_the_project_requires_is_pinned_at_a_version_that_it_allows(requirement: Requirement) -> None:
    version = PINNED.get(canonicalize_name(requirement.name))
    assert version is not None, "say `make lock`"
    assert requirement.specifier.contains(version), f"{requirement} is pinned at {version}: say `make lock`"


def test_what_is_installed_is_what_is_pinned() -> None:
    """So nothing was installed without a hash, also nothing that a package has brought with it."""
    installed = {
        canonicalize_name(found.name): found.version for found in distributions(path=[sysconfig.get_path("purelib")])
    }
    assert len(installed) > 40
    differing = {name: version for name, version in installed.items() if PINNED.get(name) != version}
    assert set(differing) <= OF_THE_ENVIRONMENT, differing


def test_every_command_that_installs_for_users_takes_the_hashes_from_there() -> None:
    text = (ROOT / "Makefile").read_text() + (DEPLOY / "Dockerfile").read_text()
    commands = re.findall(r"pip install (?:[^\n&]|\\\n)*", text.replace("\\\n", " "))
    assert len(commands) >= 7
    for command in commands:
        assert re.search(r"-[cb] constraints\.txt|--require-hashes -r \S*uv\.txt", command), command


def test_the_hashes_of_uv_which_checks_the_others_are_cut_out_for_pip(tmp_path: Path) -> None:
    for file, dollar in ((ROOT / "Makefile", "$$"), (DEPLOY / "Dockerfile", "$")):
        found = re.search(r"sed -n '[^']*' constraints\.txt", file.read_text())
        assert found is not None, file
        cut = subprocess.run(
            ["sh", "-c", found[0].replace(dollar, "$")], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
        assert [name for name, _, _ in BLOCK.findall(cut)] == ["uv"]
        assert BLOCK.sub("", cut) == ""


@pytest.mark.slow
@pytest.mark.parametrize("changed", [False, True])
def test_uv_refuses_a_package_whose_hash_is_another(tmp_path: Path, changed: bool) -> None:  # noqa: FBT001 - a case
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", TEXT) if changed else TEXT)
    install = [str(Path(sys.executable).with_name("uv")), "pip", "install", "-q", "--python", sys.executable]
    command = [*install, "--target", str(tmp_path / "there"), "-c", str(constraints), "annotated-types"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    if done.returncode and not changed:
        pytest.skip(f"there is no package index here: {done.stderr}")
    assert bool(done.returncode) == changed
    assert not changed or "Hash mismatch" in done.stderr
