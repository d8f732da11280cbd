"""A replay whose calls begin to fail by one error: the alert names it, as it was redacted."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from system.commands import aftercall
from system.runs import History, command

pytestmark = pytest.mark.slow

START = datetime(2025, 3, 3, tzinfo=UTC)
CHANGED = timedelta(days=7)
PER_DAY, DAYS = 1_000, 8
REDACT = {"AFTERCALL_PRIVACY__REDACT": r'["\\d+ ms"]'}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> History:
    """One call in twenty is refused; from the eighth day on five in twenty time out, each after a time of its own."""
    draw = random.Random(5)
    folder = tmp_path_factory.mktemp("errors")
    made = History(folder / "calls.jsonl", folder / "outcomes.jsonl")
    calls: list[dict[str, Any]] = []
    outcomes: list[dict[str, Any]] = []
    for number in range(PER_DAY * DAYS):
        since = timedelta(days=number / PER_DAY)
        call = {
            "call_id": f"call-{number}",
            "occurred_at": (START + since).isoformat(),
            "task_type": "refund",
            "model": draw.choice(("atlas", "birch")),
        }
        luck = draw.random()
        if luck < 0.05:
            call["error"] = "refused"
        elif luck < 0.3 and since >= CHANGED:
            call["error"] = f"timeout after {draw.randrange(10_000)} ms\n  at fetch()"
        else:
            stated_at = (START + since + timedelta(minutes=5)).isoformat()
            outcome = {"outcome_id": "o", "call_id": call["call_id"], "occurred_at": stated_at, "source": "judge"}
            outcomes.append({**outcome, "success": draw.random() < 0.95})
        calls.append(call)
    for path, records in ((made.calls, calls), (made.outcomes, outcomes)):
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return made


def alerts(made: History, out: Path, workers: int) -> list[dict[str, Any]]:
    done = aftercall(out.parent, *command(made, out, workers)[1:], **REDACT)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in (out / "alerts.jsonl").read_text().splitlines()]


def test_the_error_behind_a_drop_is_named_in_the_alert(made: History, tmp_path: Path) -> None:
    emitted = alerts(made, tmp_path / "one", 1)
    (opened,) = [one for one in emitted if one["kind"] == "drift" and one["state"] == "opened"]
    assert (opened["model"], opened["direction"]) == (None, "down")
    first, *others = [one for one in opened["slices"] if one["dimension"] == "error"]
    assert first["value"] == "timeout after [redacted]"
    assert first["baseline"] == 1.0
    assert first["share"] > 0.7
    assert [one["value"] for one in others] == ["refused"]
    assert first["share"] + others[0]["share"] == pytest.approx(
        next(one["share"] for one in opened["slices"] if one["value"] == "call"), abs=1e-3
    )
    share = f"{min(first['share'], 1):.0%}"
    assert f"Error 'timeout after [redacted]' accounts for {share} of the change." in opened["reason"]
    assert alerts(made, tmp_path / "two", 2) == emitted
