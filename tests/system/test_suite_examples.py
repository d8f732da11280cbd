"""The examples for CI and for a cron, run here: what blocks, what is said, and what happens without a file of runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.suite_commands import SuiteCommands
from harness.waiting import until
from system.commands import aftercall
from system.forks import Fork
from system.runs import environment

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
AGENT = """
import os
def answer(case):
    return "wrong" if case.id in os.environ.get("WRONG", "").split() else f"answer {case.id[1:]}"
"""
CASES = "id,input,expected\n" + "".join(f"c{at},question {at},answer {at}\n" for at in range(20))
GOLDEN = '[golden.shop]\ndataset = "suite/cases.csv"\nagent = "agent:answer"\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A team's repository, and `aftercall` as its container has it."""
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite/cases.csv").write_text(CASES)
    (tmp_path / "suite/aftercall.toml").write_text(GOLDEN)
    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin/aftercall"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m aftercall "$@"\n')
    command.chmod(0o755)
    return tmp_path


def step(name: str) -> dict[str, Any]:
    workflow = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
    return next(one for one in workflow["jobs"]["suite"]["steps"] if one.get("name") == name)


def run_step(repository: Path, name: str, wrong: str = "") -> subprocess.CompletedProcess[str]:
    """The commands of a step, as a runner starts them."""
    env = os.environ | {"PATH": f"{repository / 'bin'}{os.pathsep}{os.environ['PATH']}", "WRONG": wrong}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step(name)["run"]]
    return subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, check=False)


def test_the_workflow_warns_without_runs_and_blocks_a_branch_that_breaks_three_rows(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    without = run_step(repository, "gate")
    assert without.returncode == 0
    assert "::warning::the suite could not be judged" in without.stdout
    assert "No run of suite/cases.csv was recorded before" in without.stdout
    main_branch = SuiteCommands(repository, monkeypatch, capfd)
    for _ in range(4):
        main_branch.run("eval", "run", "suite/cases.csv", "--agent", "agent:answer", "--record")
    assert run_step(repository, "record").returncode == 0
    broken = run_step(repository, "gate", "c3 c4 c5")
    assert broken.returncode == 3
    assert "3 rows have regressed, and 2 may (--max-regressed)." in broken.stdout
    assert (repository / "suite.xml").exists()


def test_the_workflow_runs_the_golden_set_and_keeps_the_runs_of_main_and_nights_alone(repository: Path) -> None:
    night = run_step(repository, "golden")
    assert night.returncode == 0, night.stderr
    assert "shop, night of" in night.stdout
    workflow = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
    restore, save = (one for one in workflow["jobs"]["suite"]["steps"] if "cache" in one.get("uses", ""))
    assert restore["with"]["path"] == save["with"]["path"] == ".aftercall"
    assert save["if"] == "always() && github.event_name != 'pull_request'"
    assert [step(name)["if"] for name in ("gate", "record", "golden")] == [
        f"github.event_name == '{event}'" for event in ("pull_request", "push", "schedule")
    ]


def test_the_cron_job_runs_a_night_and_ends_as_its_failure_policy_expects(repository: Path) -> None:
    job = yaml.safe_load((EXAMPLES / "cronjob.yaml").read_text())["spec"]
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounted = repository / "suite/aftercall.toml"
    arguments = [str(mounted) if one == "/etc/aftercall/golden.toml" else one for one in container["args"]]
    done = aftercall(repository, *arguments, "--json")
    (night,) = json.loads(done.stdout)["nights"]
    assert done.returncode == night["exit_code"] == 4
    (rule,) = job["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert set(rule["onExitCodes"]["values"]) == {2, 3, 4}  # 1 is retried, as the same command may succeed later
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert {one["mountPath"] for one in container["volumeMounts"]} >= {container["workingDir"], "/etc/aftercall"}
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", str(EXAMPLES / "cronjob.yaml")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_service_of_golden_sets_ends_with_sigterm(repository: Path) -> None:
    command = ("aftercall", "golden", "serve", "--config", "suite/aftercall.toml")
    out = repository / "out"
    fork = Fork(command, cwd=repository, env=environment(), out=out, err=repository / "err")
    until(lambda: "shop: next at" in out.read_text(), (repository / "err").read_text)
    os.kill(fork.pid, signal.SIGTERM)
    assert fork.wait() == 0
    assert (repository / "err").read_text() == (
        "aftercall: stopped; a night that was being run is resumed at the next start\n"
    )
