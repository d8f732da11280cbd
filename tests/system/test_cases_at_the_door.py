"""Inputs as people have them, from ../shared/cases: what one record alone decides comes out right, or is explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from system.commands import aftercall, counts, table


def replayed(cases: Path, number: str, out: Path, **settings: str) -> dict[str, Any]:
    """What `replay --json` prints of a case; skips where it is absent."""
    folder = next(iter(cases.glob(f"{number}-*")), None)
    if folder is None:
        pytest.skip(f"needs case {number} in ../shared/cases beside this checkout; it is not there")
    files = ("--calls", folder / "calls.jsonl", "--outcomes", folder / "outcomes.jsonl")
    return counts(aftercall(out, "replay", *files, "--out", out / "out", "--json", **settings))


def test_empty_texts_are_absent_so_an_empty_error_is_no_failure(field_cases: Path, tmp_path: Path) -> None:
    found = replayed(field_cases, "12", tmp_path)
    verdicts = {name: found[name] for name in ("calls", "successes", "pending", "failures", "dead_letters")}
    assert verdicts == {"calls": 8, "successes": 5, "pending": 3, "failures": 0, "dead_letters": 0}
    rows = table(
        tmp_path / "out", "SELECT config, count(*), count(error), count(segment) FROM calls GROUP BY 1 ORDER BY 1"
    )
    assert rows == [("default", 2, 0, 0), ("v1", 6, 0, 0)]
