"""`aftercall contract`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aftercall.contracts.contract import ContractError
from aftercall.errors import ExitCode, UsageError
from flows.cli.main import app

GOOD = 'contract = "refund"\nversion = "{0}"\n[[rule]]\nid = "fast"\ntype = "latency"\nmax = 2000\n'
IDLE = '[[rule]]\nid = "harm"\ntype = "safety"\n'


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["contract", *map(str, arguments)])


def test_lint_prints_each_contract_with_its_hash(tmp_path: Path) -> None:
    (tmp_path / "refund.toml").write_text(GOOD.format(1))
    ended = run("lint", tmp_path / "refund.toml")
    assert ended.exit_code == ExitCode.DONE
    assert ended.stdout.startswith(f"{tmp_path}/refund.toml: refund@1, 1 rule, hash ")


def test_lint_ends_with_3_where_a_rule_can_never_do_anything(tmp_path: Path) -> None:
    (tmp_path / "refund.toml").write_text(GOOD.format(1) + IDLE)
    ended = run("lint", tmp_path)
    assert ended.exit_code == ExitCode.NO
    assert "refund.toml, rule 'harm': it has nothing to look for" in ended.stderr


def test_lint_as_json_has_the_contracts_and_what_is_odd(tmp_path: Path) -> None:
    (tmp_path / "refund.toml").write_text(GOOD.format(1) + IDLE)
    ended = run("lint", tmp_path, "--json")
    assert ended.exit_code == ExitCode.NO
    found = json.loads(ended.stdout)
    file = str(tmp_path / "refund.toml")
    (contract,) = found["contracts"]
    assert len(contract.pop("hash")) == 32
    assert contract == {"contract": "refund", "version": "1", "file": file, "rules": ["fast", "harm"]}
    (remark,) = found["remarks"]
    assert (remark["file"], remark["rule"], remark["idle"]) == (file, "harm", True)
    assert remark["remark"] in ended.stderr


def test_lint_reads_the_files_together(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(GOOD.format(1))
    refused = run("lint", tmp_path).exception
    assert isinstance(refused, ContractError)
    assert "version '1' of contract 'refund' is also in" in str(refused)


def test_lint_of_a_folder_without_contracts_is_wrong_usage(tmp_path: Path) -> None:
    assert isinstance(run("lint", tmp_path).exception, UsageError)


PACT = {"type": "latency", "operator": "lte", "value": 2000, "severity": "major", "verificationMethod": "deterministic"}


def test_import_prints_a_contract_that_lint_accepts(tmp_path: Path) -> None:
    (tmp_path / "pact.json").write_text(json.dumps({"name": "sla", "conditions": [PACT]}))
    ended = run("import", tmp_path / "pact.json")
    assert ended.exit_code == ExitCode.DONE
    (tmp_path / "sla.toml").write_text(ended.stdout)
    assert run("lint", tmp_path / "sla.toml").exit_code == ExitCode.DONE


def test_import_says_what_it_could_not_carry_over_and_ends_with_3(tmp_path: Path) -> None:
    lost = {**PACT, "type": "accuracy", "verificationMethod": "jury"}
    (tmp_path / "pact.json").write_text(json.dumps({"conditions": [PACT, lost]}))
    ended = run("import", tmp_path / "pact.json")
    assert ended.exit_code == ExitCode.NO
    assert "condition 2 (accuracy): not carried over: a jury judges it" in ended.stderr
    assert 'type = "latency"' in ended.stdout


@pytest.mark.parametrize("command", ["lint", "import"])
def test_an_empty_path_is_not_the_current_folder(command: str) -> None:
    refused = run(command, "").exception
    assert isinstance(refused, UsageError)
    assert str(refused).startswith("FILE: must be a path; got an empty one")


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_import_of_what_is_no_json_is_wrong_usage(tmp_path: Path, content: str) -> None:
    (tmp_path / "pact.json").write_text(content)
    assert isinstance(run("import", tmp_path / "pact.json").exception, UsageError)


CALL = {"call_id": "c1", "occurred_at": "2026-03-01T12:00:00Z", "task_type": "refund", "model": "m", "latency_ms": 2500}


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jsonl"
    path.write_text(json.dumps(CALL) + "\n{\n")
    (tmp_path / "refund.toml").write_text(GOOD.format(1))
    return path


def test_check_prints_what_would_have_been_flagged(calls: Path) -> None:
    ended = run("check", calls.parent / "refund.toml", "--calls", calls)
    assert ended.exit_code == ExitCode.DONE
    assert "1 call; 1 record refused (not_json 1)" in ended.stdout
    assert "fast (latency, major): 1 of 1 checked calls violate it (100.0 %, 20.7-100.0)" in ended.stdout
    assert f"{calls}, line 1: 2500 ms, more than 2000" in ended.stdout.replace("\n", "")


def test_check_prints_one_json_object(calls: Path) -> None:
    report = json.loads(run("check", calls.parent / "refund.toml", "--calls", calls, "--json").stdout)
    assert list(report) == ["calls", "completed", "refused", "judged", "contracts", "groups", "warnings"]
    assert report["contracts"][0]["rules"][0]["failed"] == 1


def test_check_ends_with_4_where_no_call_is_judged(calls: Path) -> None:
    (calls.parent / "refund.toml").write_text('tasks = ["triage"]\n' + GOOD.format(1))
    ended = run("check", calls.parent / "refund.toml", "--calls", calls)
    assert ended.exit_code == ExitCode.UNDECIDED
    assert "refund@1 has judged no call; the task types of the files are refund" in ended.stderr
