"""The wheel alone, in clean environments: on each interpreter that is here, with nothing of the pipeline."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from harness.foreign import ROOT
from harness.waiting import HANG_S

pytestmark = pytest.mark.slow
VERSIONS: Final = ("3.11", "3.12", "3.13", "3.14")
AGENT: Final = """
import asyncio, importlib.util, json, sys, warnings
warnings.simplefilter("error")
from aftercall import Client
early = [name for name in ("pydantic", "confluent_kafka") if name in sys.modules]
client = Client(file=sys.argv[1], spool=sys.argv[2])

@client.track("sync", model="m")
def answer(question): return question

@client.track("stream", model="m")
def words(): yield "a"

@client.track("async", model="m")
async def later():
    await asyncio.sleep(0)
    return {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}

answer("x")
list(words())
asyncio.run(later())
with client.track("block", model="m") as call: call_id = call.call_id
client.outcome(call_id, source="judge", success=True)
client.close(timeout=600)
rooms = [name for name in ("models", "flows", "connectors", "benchmarks") if importlib.util.find_spec(name)]
print(json.dumps({"early": early, "rooms": rooms, "balanced": client.stats().balanced}))
"""


def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("uv")), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=False)


def interpreter(version: str) -> str | None:
    """A Python of this version, on the path or among those of pyenv, whose shims may be there and still fail."""
    installed = (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python")
    for candidate in (shutil.which(f"python{version}"), *map(str, installed)):
        if candidate and not subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode:
            return candidate
    return None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = uv("build", "-q", "--wheel", "--no-build-isolation", "-p", sys.executable, "-o", str(folder))
    if built.returncode:  # hatchling is not in this environment
        built = uv("build", "-q", "--wheel", "-p", sys.executable, "-o", str(folder))
    if built.returncode and "CI" not in os.environ:
        pytest.skip(f"the wheel cannot be built with uv here: {built.stderr}")
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_alone_works_on_every_interpreter_here(version: str, wheel: Path, tmp_path: Path) -> None:
    found = interpreter(version)
    if found is None:
        pytest.skip(f"no Python {version} is here")
    python = str(tmp_path / "venv" / "bin" / "python")
    made = uv("venv", "-q", "-p", found, str(tmp_path / "venv"))
    assert made.returncode == 0, made.stderr
    installed = uv("pip", "install", "-q", "-p", python, "-c", str(ROOT / "constraints.txt"), str(wheel))
    if installed.returncode and "CI" not in os.environ:
        pytest.skip(f"the wheel cannot be installed with uv here: {installed.stderr}")
    assert installed.returncode == 0, installed.stderr
    assert uv("pip", "check", "-p", python).returncode == 0
    (tmp_path / "agent.py").write_text(AGENT)
    ran = subprocess.run(
        [python, "agent.py", "events", "spool"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AFTERCALL"))},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == {"early": [], "rooms": [], "balanced": True}
    calls = [json.loads(line) for line in (tmp_path / "events" / "calls.jsonl").read_text().splitlines()]
    assert [call["task_type"] for call in calls] == ["sync", "stream", "async", "block"]
    assert calls[2]["tokens_in"] == 1
    (outcome,) = (tmp_path / "events" / "outcomes.jsonl").read_text().splitlines()
    assert json.loads(outcome)["call_id"] == calls[3]["call_id"]


def test_the_wheel_agrees_with_what_agents_are_made_with(wheel: Path) -> None:
    """Their newest versions, beside it: one that cannot be had is a conflict of versions."""
    beside = "\n".join(
        [str(wheel), "aftercall[kafka,duckdb]", "anthropic", "langchain", "litellm", "openai", "opentelemetry-sdk"]
    )
    resolved = subprocess.run(
        [
            str(Path(sys.executable).with_name("uv")),
            "pip",
            "compile",
            "-q",
            "--python-version",
            "3.12",
            "--find-links",
            str(wheel.parent),
            "-",
        ],
        input=beside,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    if resolved.returncode and "CI" not in os.environ and "No solution found" not in resolved.stderr:
        pytest.skip(f"versions cannot be resolved with uv here: {resolved.stderr}")
    assert resolved.returncode == 0, resolved.stderr
    versions = dict(re.findall(r"^([a-z0-9-]+)==([0-9.]+)", resolved.stdout, re.MULTILINE))
    assert {"litellm", "langchain", "openai", "pydantic", "confluent-kafka", "duckdb"} <= versions.keys()
