"""What insights show beside the rates: who answers, what silence could mean, how soon a drop would be noticed."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import duckdb
import numpy as np
import pytest
from rich.console import Console

from aftercall.times import HOUR_US
from benchmarks.coverage import apply_calls
from flows.reports.insights import Insight, insights
from flows.reports.insights_evidence import silence
from flows.reports.insights_view import NONE_WORSE, power_line, render, silence_line
from models.rates.rate_cells import RateCells

ARMS = [("triage", f"m{i}", "default") for i in range(6)]
START = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 1_000_000
HOURS = 17 * 24
DROP_AT = 15 * 24
RATES = """CREATE TABLE {name} (task_type VARCHAR, model VARCHAR, config VARCHAR, {label} VARCHAR, {time} TIMESTAMP,
  calls BIGINT, successes BIGINT, failures BIGINT, expired BIGINT, pending BIGINT, {shares})"""
COUNTS = ["calls", "successes", "failures", "expired", "pending"]
SHARES = ["rate", "rate_low", "rate_high", "corrected_rate", "corrected_low", "corrected_high", "maturity"]
POWER = ["outcomes_per_day", "power_days", "power_within_week"]
EMPTY = """
CREATE TABLE alerts (alert_id VARCHAR, task_type VARCHAR, opened_at TIMESTAMP, closed_at TIMESTAMP);
CREATE TABLE recommendations (seq BIGINT, task_type VARCHAR, segment VARCHAR, issued_at TIMESTAMP, model VARCHAR,
  config VARCHAR);
CREATE TABLE pipeline (version BIGINT, watermark TIMESTAMP, written_at TIMESTAMP)
"""


class World:
    """Six models at 15 calls an hour; m0 falls from .85 to .55 on day 15.

    Half the calls get an outcome, failures sooner than successes.
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(20)
        count = len(ARMS) * HOURS * 15
        self.code = rng.integers(0, len(ARMS), count)
        self.at = START + np.sort(rng.integers(0, HOURS * HOUR_US, count))
        rate = np.where((self.code == 0) & (self.at >= START + DROP_AT * HOUR_US), 0.55, 0.85)
        self.good = rng.random(count) < rate
        hours = np.where(self.good, 3.0, 1 / 6) * np.exp(rng.normal(0, 1.2, count))
        self.slow = (hours * HOUR_US).astype(np.int64)
        self.answered = rng.random(count) < 0.5

    def seen(self, hour: int, path: Path) -> Insight:
        """What `insights` show of a snapshot that is taken at the end of this hour."""
        now = START + hour * HOUR_US
        made = self.at < now
        known = self.answered & (self.at + self.slow < now)
        cells = RateCells()
        apply_calls(cells, ARMS, self.code[made], self.at[made], self.good[made], np.where(known, self.slow, -1)[made])
        cells.advance(now, now - 1)
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as base:
            base.execute(EMPTY)
            for name, label, time, table in zip(
                ("rates", "current_rates"),
                ("grain", "span"),
                ("window_start", "as_of"),
                cells.tables(now, live=True),
                strict=True,
            ):
                shares = SHARES + POWER if name == "current_rates" else SHARES
                columns = ", ".join(f"{share} DOUBLE" for share in shares)
                base.execute(RATES.format(name=name, label=label, time=time, shares=columns))
                keys = ["task_type", "model", "config", label, time, *COUNTS, *shares]
                rows = zip(*(_plain(table[key], moment=key == time) for key in keys), strict=True)
                with base.appender(name) as into:
                    into.append_rows(list(rows))
        return insights(path, "triage")


def _plain(column: np.ndarray, *, moment: bool) -> list[object]:
    if moment:
        return [datetime.fromtimestamp(us / 1e6, UTC).replace(tzinfo=None) for us in column.tolist()]
    return [None if isinstance(value, float) and math.isnan(value) else value for value in column.tolist()]


@pytest.mark.slow
def test_looks_at_every_hour_show_the_one_model_that_fell_and_no_other(tmp_path: Path) -> None:
    world, path = World(), tmp_path / "outcomes.duckdb"
    for hour in range(DROP_AT - 6, DROP_AT, 2):
        found = world.seen(hour, path)
        assert found.degraded == [], hour
    young = world.seen(DROP_AT + 1, path)
    assert young.degraded == []
    for hour in (DROP_AT + 30, DROP_AT + 40):
        (one,) = world.seen(hour, path).degraded
        assert one.model == "m0"
        assert one.since is not None
        assert abs(one.since - datetime.fromtimestamp(START / 1e6 + DROP_AT * 3600, UTC)) < timedelta(hours=12)
        assert one.effect_high is not None
        assert one.effect_high < 0


@pytest.mark.slow
def test_the_whole_is_corrected_and_shows_what_it_rests_on(tmp_path: Path) -> None:
    found = World().seen(DROP_AT, tmp_path / "outcomes.duckdb")
    whole = found.overall
    assert whole.corrected is not None
    assert whole.corrected.rate is not None
    assert abs(whole.corrected.rate - 0.85) < 0.03
    assert whole.current.rate is not None
    assert whole.current.rate < whole.corrected.rate
    quiet = whole.silence
    assert quiet is not None
    assert quiet.answered < 0.5
    assert quiet.answered_finally == pytest.approx(0.5, abs=0.03)
    assert quiet.gamma_low is not None
    assert quiet.gamma_high is not None
    assert quiet.low < quiet.gamma_low < whole.corrected.rate < quiet.gamma_high < quiet.high
    text = StringIO()
    render(found, Console(file=text, width=400), evidence=True)
    for line in (NONE_WORSE, silence_line(whole), power_line(found.arms)):
        assert line is not None
        assert line in text.getvalue()
    answer = json.loads(found.to_json())
    assert answer["response_rate"] == quiet.answered
    assert answer["models"][0]["silence"]["gamma"] == 2.0
    assert answer["models"][0]["power"]["outcomes_per_day"] == pytest.approx(180, rel=0.1)
    assert answer["models"][0]["corrected"]["delta_low"] < 0 < answer["models"][0]["corrected"]["delta_high"]


@pytest.mark.slow
def test_where_all_answer_the_range_is_the_rate_and_no_word_is_lost_on_silence(tmp_path: Path) -> None:
    quiet = silence(100, 100, (0.7, 0.9), rate=0.8, maturity=None, pending=0)
    assert quiet is not None
    assert (quiet.answered, quiet.answered_finally, quiet.gamma_low, quiet.gamma_high) == (1, 1, 0.8, 0.8)
    assert silence(0, 0, (0.0, 1.0), rate=None, maturity=None, pending=0) is None
    unknown = silence(12, 100, (0.1, 0.9), rate=0.8, maturity=None, pending=88)
    assert unknown is not None
    assert unknown.gamma_low is None
    found = World().seen(DROP_AT, tmp_path / "outcomes.duckdb").overall
    assert silence_line(found) is not None
    assert silence_line(type(found)(**{**vars(found), "silence": quiet})) is None
