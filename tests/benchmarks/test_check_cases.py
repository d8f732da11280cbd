"""`make check-cases` tells right from wrong by what the command line makes of a case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.check_cases import main

CALLS = [
    {"call_id": f"c{i}", "occurred_at": "2026-10-01T00:00:00Z", "task_type": "support", "model": "large", "error": ""}
    for i in range(8)
]


def case(folder: Path, calls: list[dict[str, str]]) -> Path:
    """A folder of cases with number 12: calls of two configs, five of them answered."""
    made = folder / "cases" / "12-empty"
    made.mkdir(parents=True)
    rows = [{**call, "config": "v1" if i < 6 else ""} for i, call in enumerate(calls)]
    outcomes = [
        {"outcome_id": "o", "call_id": f"c{i}", "occurred_at": "2026-10-01T01:00:00Z", "source": "s", "success": True}
        for i in (0, 1, 2, 6, 7)
    ]
    for kind, records in (("calls", rows), ("outcomes", outcomes)):
        (made / f"{kind}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder / "cases"


def test_without_cases_it_says_so_and_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], tmp_path / "cases") == 0
    said = capsys.readouterr().out
    assert "there is no case in" in said
    assert "skipped, as not beside this checkout: 01, 03" in said


@pytest.mark.slow
def test_what_is_wanted_is_compared_with_what_the_replay_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--only", "12"], case(tmp_path, CALLS)) == 0
    said = capsys.readouterr().out
    assert "12-empty, as it was sent: right" in said
    assert max(map(len, said.splitlines())) <= 80
    failed = [{**call, "error": "timed out"} if call["call_id"] == "c5" else call for call in CALLS]
    assert main(["--only", "12"], case(tmp_path / "failed", failed)) == 1
    wrong = capsys.readouterr()
    assert "got     verdicts: failure 1, pending 2, success 5; dead letters: none" in wrong.out
    assert wrong.err == "wrong: 12 (as it was sent)\n"
