"""From when versions of contracts judge, what may change of those that have judged calls, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from aftercall.contracts.contract import ContractError
from aftercall.contracts.files import read_contract
from aftercall.times import format_time, parse_time
from flows.runtime.contract_export import export_starts
from flows.runtime.contract_starts import CONTRACTS, NOTHING, JudgedSoFar, fixed, in_force, read_contracts
from flows.settings import Settings, load

AT = parse_time("2026-03-01T12:00:00Z")
LATER = JudgedSoFar(AT, {("refund", "1"): 81_212})


def settings_in(folder: Path) -> Settings:
    return load(None, contracts={"folder": str(folder)})


def write(folder: Path, version: str = "1", *, limit: int = 2000, more: str = "", name: str = "") -> Path:
    path = folder / f"{name or version}.toml"
    rule = f'[[rule]]\nid = "fast"\ntype = "latency"\nmax = {limit}\n'
    path.write_text(f'contract = "refund"\nversion = "{version}"\n{more}\n{rule}')
    return path


def run_of(folder: Path, so_far: JudgedSoFar = NOTHING, run: dict[str, object] | None = None) -> dict[str, object]:
    return {CONTRACTS: [list(one) for one in fixed(read_contracts(settings_in(folder)), run or {}, so_far)]}


def refusal(folder: Path, so_far: JudgedSoFar, run: dict[str, object]) -> str:
    with pytest.raises(ContractError) as refused:
        run_of(folder, so_far, run)
    assert refused.value.exit_code == 2
    return str(refused.value)


def test_without_a_folder_nothing_is_judged(tmp_path: Path) -> None:
    assert len(read_contracts(settings_in(tmp_path / "none"))) == 0


def test_a_first_version_begins_with_a_run_that_begins_and_later_after_all_calls_that_were_accepted(
    tmp_path: Path,
) -> None:
    write(tmp_path)
    assert [row[3] for row in run_of(tmp_path)[CONTRACTS]] == [None]  # type: ignore[attr-defined]
    begun = run_of(tmp_path, JudgedSoFar(AT, {}))
    (contract,) = in_force(settings_in(tmp_path), begun)
    assert contract.effective_from_us == AT + 1
    # And it stays so, however far the run has come.
    assert run_of(tmp_path, JudgedSoFar(AT + 10**9, {}), begun) == begun


def test_a_new_version_must_begin_after_all_calls_that_were_accepted(tmp_path: Path) -> None:
    write(tmp_path)
    run = run_of(tmp_path)
    write(tmp_path, "2", limit=1, more=f'effective_from = "{format_time(AT)}"')
    sentence = refusal(tmp_path, LATER, run)
    assert f"the earliest time allowed now is {format_time(AT + 1)}" in sentence
    assert "2.toml: effective_from" in sentence
    write(tmp_path, "2", limit=1, more=f'effective_from = "{format_time(AT + 1)}"')
    both = run_of(tmp_path, LATER, run)
    assert [row[:2] for row in both[CONTRACTS]] == [["refund", "1"], ["refund", "2"]]  # type: ignore[attr-defined]
    # Once it is known, its start may be passed.
    assert run_of(tmp_path, LATER._replace(passed=AT + 10**9), both) == both


def test_a_version_that_has_judged_calls_may_be_neither_changed_nor_removed(tmp_path: Path) -> None:
    path = write(tmp_path)
    run = run_of(tmp_path)
    write(tmp_path, limit=1)
    assert "contract refund 1 has changed since it judged 81,212 calls (give it a new version)" in refusal(
        tmp_path, LATER, run
    )
    assert run_of(tmp_path, LATER._replace(calls={}), run) != run
    path.unlink()
    sentence = refusal(tmp_path, LATER, run)
    assert "refund 1 has judged 81,212 calls and must stay" in sentence
    assert "effective_until" in sentence
    assert run_of(tmp_path, LATER._replace(calls={}), run) == {CONTRACTS: []}


def test_a_version_is_retired_from_then_on_and_its_start_stays(tmp_path: Path) -> None:
    write(tmp_path)
    run = run_of(tmp_path)
    write(tmp_path, more=f'effective_until = "{format_time(AT + 1)}"')
    assert [row[4] for row in run_of(tmp_path, LATER, run)[CONTRACTS]] == [AT + 1]  # type: ignore[attr-defined]
    write(tmp_path, more=f'effective_until = "{format_time(AT)}"')
    assert "effective_until must lie after all calls" in refusal(tmp_path, LATER, run)
    write(tmp_path, more=f'effective_from = "{format_time(AT - 5)}"')
    assert "effective_from must stay absent" in refusal(tmp_path, LATER, run)


def test_files_that_change_under_a_run_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    run = run_of(tmp_path)
    write(tmp_path, limit=1)
    with pytest.raises(ContractError, match="must be as it was when the run was started"):
        in_force(settings_in(tmp_path), run)


@pytest.mark.parametrize("ending", [".toml", ".yaml", ".json"])
def test_export_writes_the_start_into_the_file_and_leaves_the_rest(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path)
    if ending == ".yaml":
        path = path.rename(tmp_path / "1.yaml")
        path.write_text('contract: refund\nversion: "1"\n# why\nrule:\n  - {id: fast, type: latency, max: 2000}\n')
    if ending == ".json":
        path = path.rename(tmp_path / "1.json")
        path.write_text(
            '{"contract": "refund", "version": "1", "rule": [{"id": "fast", "type": "latency", "max": 2000}]}'
        )
    before = read_contract(path)
    run, settings = run_of(tmp_path, JudgedSoFar(AT, {})), settings_in(tmp_path)
    assert export_starts(settings, run) == [path]
    after = read_contract(path)
    assert (after.hash, after.effective_from_us) == (before.hash, AT + 1)
    assert export_starts(settings, run) == []
    assert run_of(tmp_path, LATER, run) == run
    if ending == ".yaml":
        assert "# why" in path.read_text()
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
