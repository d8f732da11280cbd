"""What violations mean for success rates, end to end: 2 % of the calls violate a rule, and a tenth is answered."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from system.commands import aftercall, table

pytestmark = pytest.mark.slow

CALLS: Final = 4_000
START: Final = datetime(2025, 3, 1, tzinfo=UTC)
RATE: Final = 0.931
CONTRACT: Final = """
contract = "refund"
version = "1"
rule = [{ id = "fast", type = "latency", max = 500, severity = "critical" }]
"""
OF_CONTRACTS: Final = ("checks", "check_rates", "contracts", "trust")


def traffic(folder: Path) -> list[Path]:
    """Calls over five days, of which one in fifty takes too long; one in ten of all is answered, well by `RATE`."""
    draw = random.Random(11)
    calls, outcomes = list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(CALLS):
        at = START + timedelta(days=5 * number / CALLS)
        slow = number % 50 == 7
        call = {"call_id": f"c{number}", "occurred_at": at.isoformat(), "task_type": "refund", "model": "m"}
        calls.append(call | {"latency_ms": 900 if slow else 300})
        if draw.random() < 0.1:
            said = {"outcome_id": f"o{number}", "call_id": f"c{number}", "source": "user_feedback"}
            later = (at + timedelta(hours=1)).isoformat()
            outcomes.append(said | {"occurred_at": later, "success": draw.random() < RATE})
    paths = [folder / "calls.jsonl", folder / "outcomes.jsonl"]
    for path, records in zip(paths, (calls, outcomes), strict=True):
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return paths


def replayed(files: list[Path], folder: Path, contract: str | None, **settings: str) -> Path:
    folder.mkdir()
    if contract is not None:
        (folder / "contracts").mkdir()
        (folder / "contracts" / "refund.toml").write_text(contract)
    calls, outcomes = files
    done = aftercall(folder, "replay", "--calls", calls, "--outcomes", outcomes, "--out", folder / "out", **settings)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder / "out"


def rows(out: Path) -> dict[str, list[Any]]:
    """All tables in which contracts have no part, and the alerts of other kinds."""
    names = [name for (name,) in table(out, "SELECT table_name FROM duckdb_tables()") if name not in OF_CONTRACTS]
    leave = {"pipeline": "EXCLUDE (version, written_at, positions)"}
    found = {name: table(out, f"SELECT * {leave.get(name, '')} FROM {name} ORDER BY ALL") for name in names}
    assert {"rates", "current_rates", "source_rates", "statements", "calls", "alerts"} <= found.keys()
    return found


def success_rate(out: Path) -> float:
    ((good, bad),) = table(out, "SELECT sum(successes), sum(failures) FROM rates WHERE grain = '1d'")
    return float(good / (good + bad))


def test_with_never_all_is_as_without_contracts_and_else_failures_drown_the_answers(tmp_path: Path) -> None:
    files = traffic(tmp_path)
    without = replayed(files, tmp_path / "without", None)
    never = replayed(files, tmp_path / "never", CONTRACT, AFTERCALL_CONTRACTS__VERDICT="never")
    expected, found = rows(without), rows(never)
    for name, of_table in expected.items():
        mine = [row for row in found[name] if name != "alerts" or "contract" not in row]
        assert mine == of_table, name
    assert success_rate(never) == success_rate(without) == pytest.approx(RATE, abs=0.03)
    ((checked, failed),) = table(never, "SELECT sum(checked), sum(failed) FROM check_rates WHERE grain = '1h'")
    assert (checked, failed) == (CALLS, CALLS / 50), "every checked call counts, answered or not"
    critical = replayed(files, tmp_path / "critical", CONTRACT)
    # The table of docs/reference.md, section 2: .931 reads .789.
    assert success_rate(critical) == pytest.approx(0.789, abs=0.03)
    assert table(critical, "SELECT sum(failed) FROM check_rates WHERE grain = '1h'") == [(CALLS / 50,)]
