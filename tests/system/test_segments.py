"""A replay whose calls have segments: their rates are those that SQL finds, and the alert tells a mix from a change."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from system.commands import aftercall, assert_one_sentence, table
from system.runs import History, command

pytestmark = pytest.mark.slow

START = datetime(2025, 3, 3, tzinfo=UTC)
CHANGED = timedelta(days=7)
PER_DAY, DAYS = 1_000, 8
RATES = {"short": 0.95, "long": 0.7, "spam": 0.9, None: 0.9}
SEGMENTS = {"AFTERCALL_TASK__REFUND__SEGMENTS": "short, long"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Of one call in ten the input is long, and from the eighth day on of six in ten; each kind does as well as ever.

    One call in fifty falls back to another model first.
    """
    draw = random.Random(14)
    folder = tmp_path_factory.mktemp("segments")
    made = History(folder / "calls.jsonl", folder / "outcomes.jsonl")
    calls, outcomes = list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(PER_DAY * DAYS):
        since, luck = timedelta(days=number / PER_DAY), draw.random()
        long = 0.1 if since < CHANGED else 0.6
        segment = "spam" if luck > 0.98 else None if luck > 0.96 else "long" if luck < long else "short"
        call = {"call_id": f"call-{number}", "occurred_at": (START + since).isoformat(), "task_type": "refund"}
        tried = [{"model": "birch", "error": "429"}] if draw.random() < 0.02 else []
        calls.append({**call, "model": "atlas", "segment": segment, "cost_usd": 0.001, "attempts": tried})
        if draw.random() < 0.9:
            said = {"outcome_id": "o", "call_id": call["call_id"], "source": "judge"}
            at = (START + since + timedelta(minutes=5)).isoformat()
            outcomes.append({**said, "occurred_at": at, "success": draw.random() < RATES[segment]})
    for path, records in ((made.calls, calls), (made.outcomes, outcomes)):
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return made


@pytest.fixture(scope="module")
def out(made: History, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a replay with two declared segments."""
    out = tmp_path_factory.mktemp("out") / "one"
    done = aftercall(out.parent, *command(made, out)[1:], **SEGMENTS)
    assert (done.returncode, done.stderr) == (0, "")
    return out


@pytest.mark.parametrize(("grain", "unit"), [("1h", "hour"), ("1d", "day")])
def test_the_rates_of_segments_are_those_of_their_calls(out: Path, grain: str, unit: str) -> None:
    counts = "calls, successes, failures, expired, pending, round(cost_usd, 6)"
    found = table(
        out, f"SELECT model, segment, window_start, {counts} FROM segment_rates WHERE grain = '{grain}' ORDER BY ALL"
    )
    expected = table(
        out,
        f"""
        SELECT model, CASE WHEN segment IN ('short', 'long') THEN segment ELSE '__other__' END,
            date_trunc('{unit}', occurred_at)::TIMESTAMP AS start, count(*), count_if(verdict = 'success'),
            count_if(verdict = 'failure'), count_if(verdict = 'expired'), count_if(verdict = 'pending'),
            round(coalesce(sum(cost_usd), 0), 6)
        FROM calls WHERE segment IS NOT NULL GROUP BY ALL ORDER BY ALL
        """,
    )
    assert found == expected
    assert {row[1] for row in found} == {"short", "long", "__other__"}


def test_the_alert_says_that_what_fell_is_the_mix(out: Path) -> None:
    lines = [json.loads(line) for line in (out / "alerts.jsonl").read_text().splitlines()]
    opened = next(one for one in lines if one["kind"] == "drift" and one["state"] == "opened")
    by = {one["dimension"]: one for one in opened["split"]}
    assert (opened["direction"], by["segment"]["value"]) == ("down", "long")
    assert by["segment"]["high"] < -0.05, "which is most of it"
    assert by["within"]["low"] < 0 < by["within"]["high"], "each segment does as well as before"
    assert by["segment"]["share_before"] < 0.15
    assert by["segment"]["share_since"] > 0.4
    assert "% of the outcomes were of segment 'long', now" in opened["reason"]
    (row,) = table(out, f"SELECT split FROM alerts WHERE alert_id = '{opened['alert_id']}'")
    assert {one["dimension"] for one in json.loads(row[0])} >= {"segment", "within"}


def test_two_workers_find_the_same(made: History, out: Path, tmp_path: Path) -> None:
    done = aftercall(tmp_path, *command(made, tmp_path / "two", 2)[1:], **SEGMENTS)
    assert done.returncode == 0
    query = "SELECT * FROM segment_rates ORDER BY ALL"
    assert table(tmp_path / "two", query) == table(out, query)
    assert (tmp_path / "two/alerts.jsonl").read_bytes() == (out / "alerts.jsonl").read_bytes()


def test_more_than_64_segments_are_refused_before_anything_starts(made: History, tmp_path: Path) -> None:
    many = ",".join(f"s{number}" for number in range(65))
    done = aftercall(tmp_path, *command(made, tmp_path / "out")[1:], AFTERCALL_TASK__REFUND__SEGMENTS=many)
    assert_one_sentence(done, 2, "AFTERCALL_TASK__REFUND__SEGMENTS", "at most 64", "65")
    assert not (tmp_path / "out").exists()
