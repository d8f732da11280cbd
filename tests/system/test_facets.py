"""A replay whose calls become longer: the alert says that it is the mix of long inputs, and of nothing else."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from system.commands import aftercall, table
from system.runs import History, command

pytestmark = pytest.mark.slow

START = datetime(2025, 3, 3, tzinfo=UTC)
CHANGED = timedelta(days=7)
PER_DAY, DAYS = 800, 8
RATES = {"long": 0.65, "short": 0.95}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Of one call in ten the input is long, and from the eighth day on of six in ten; each kind does as well as ever.

    Languages and tools are as they were. Calls that end in an error have no tokens.
    """
    draw = random.Random(14)
    folder = tmp_path_factory.mktemp("facets")
    made = History(folder / "calls.jsonl", folder / "outcomes.jsonl")
    calls, outcomes = list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(PER_DAY * DAYS):
        since = timedelta(days=number / PER_DAY)
        kind = "long" if draw.random() < (0.1 if since < CHANGED else 0.6) else "short"
        call = {"call_id": f"call-{number}", "occurred_at": (START + since).isoformat(), "task_type": "refund"}
        attrs = {"language": draw.choice(["de-AT", "en", "en_US"])}
        tools = [{"name": "search", "ok": draw.random() < 0.9}] * draw.randrange(3)
        broken = {"error": "timeout"} if draw.random() < 0.02 else {"tokens_in": 9_000 if kind == "long" else 300}
        calls.append({**call, "model": "atlas", "attrs": attrs, "tool_calls": tools, **broken})
        if "error" not in broken:
            at = (START + since + timedelta(minutes=5)).isoformat()
            said = {"outcome_id": "o", "call_id": call["call_id"], "source": "judge", "occurred_at": at}
            outcomes.append({**said, "success": draw.random() < RATES[kind]})
    for path, records in ((made.calls, calls), (made.outcomes, outcomes)):
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return made


@pytest.fixture(scope="module")
def out(made: History, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a replay."""
    out = tmp_path_factory.mktemp("out") / "one"
    done = aftercall(out.parent, *command(made, out)[1:])
    assert (done.returncode, done.stderr) == (0, "")
    return out


def drift(out: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in (out / "alerts.jsonl").read_text().splitlines()]
    found: dict[str, Any] = next(one for one in lines if one["kind"] == "drift")
    return found


def test_the_alert_says_that_what_fell_is_the_mix_of_long_inputs(out: Path) -> None:
    alert = drift(out)
    by = {one["dimension"]: one for one in alert["mixes"]}
    assert (alert["direction"], alert["mixes"][0]["dimension"]) == ("down", "tokens_in")
    assert list(by) == ["tokens_in", *sorted(by.keys() - {"tokens_in"}, key=list(by).index)]
    assert by["tokens_in"]["value"] == "4096 to 16383"
    assert by["tokens_in"]["high"] < -0.05
    assert by["tokens_in"]["share_before"] < 0.15
    assert by["tokens_in"]["share_since"] > 0.4
    for facet in ("tools", "language"):
        assert by[facet]["low"] <= 0 <= by[facet]["high"], "which are as they were"
    assert "of the outcomes were of calls with 4096 to 16383 input tokens, now" in alert["reason"]
    assert alert["reason"].count("changed mix") == 1


def test_the_snapshot_and_its_reports_have_it(out: Path, tmp_path: Path) -> None:
    (row,) = table(out, f"SELECT mixes FROM alerts WHERE alert_id = '{drift(out)['alert_id']}'")
    assert json.loads(row[0])[0]["dimension"] == "tokens_in"
    done = aftercall(tmp_path, "insights", "refund", "--snapshot", str(out / "outcomes.duckdb"))
    assert "Changed mix of calls: -" in " ".join(done.stdout.split())
    found = json.loads(aftercall(tmp_path, "alerts", "--json", "--snapshot", str(out / "outcomes.duckdb")).stdout)
    assert "tokens_in" in json.dumps(found)


def test_two_workers_find_the_same(made: History, out: Path, tmp_path: Path) -> None:
    done = aftercall(tmp_path, *command(made, tmp_path / "two", 2)[1:])
    assert done.returncode == 0
    assert (tmp_path / "two/alerts.jsonl").read_bytes() == (out / "alerts.jsonl").read_bytes()
