"""The snapshot that the tests of reports share."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from simulated.snapshot import END, TABLES, alert, current, insert, rates


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with a snapshot in which atlas fell from 90 to 70 % and birch stayed."""
    with duckdb.connect(str(tmp_path / "outcomes.duckdb")) as base:
        base.execute(TABLES)
        rates(base, "atlas", 300, 0, 999)  # before the baseline
        rates(base, "atlas", 200, 900, 100)
        rates(base, "atlas", 49, 450, 50)
        rates(base, "atlas", 48, 350, 150)  # the first hour of the lookback
        rates(base, "atlas", 1, 350, 150)
        rates(base, "birch", 100, 800, 200)
        rates(base, "birch", 10, 160, 40)
        insert(
            base,
            "rates",
            task_type="triage",
            model="atlas",
            config="default",
            grain="1d",
            window_start=END,
            successes=9,
        )
        insert(base, "rates", task_type="refund", model="atlas", config="default", grain="1h", window_start=END)
        current(base)
        base.execute("UPDATE current_rates SET corrected_rate = 0.81, maturity = 0.95 WHERE model = 'birch'")
        alert(base, 1)
        over = END - timedelta(hours=20)
        alert(base, 2, config=None, state="closed", closed_at=over, evidence=f'{{"part_of": "{1:032x}"}}')
        alert(base, 4, kind="shift", metric="latency_ms", direction="down", model="birch")
        alert(base, 5, direction="up", model="birch")
        for seq, hours, weight in ((1, 60, 0.9), (2, 30, 0.02)):
            for model, share in (("atlas", weight), ("birch", 1 - weight)):
                insert(
                    base,
                    "recommendations",
                    seq=seq,
                    recommendation_id=f"{seq:032x}",
                    task_type="triage",
                    issued_at=END - timedelta(hours=hours),
                    valid_until=END - timedelta(hours=hours - 6),
                    model=model,
                    config="default",
                    weight=share,
                    p_best=share,
                    rate=0.8,
                    rate_low=0.7,
                    rate_high=0.9,
                    n=500,
                    status="ok",
                    degraded="[]",
                    reason=f"reason {seq}",
                )
        insert(
            base,
            "pipeline",
            version=1,
            records=120,
            calls=60,
            outcomes=50,
            duplicates=5,
            waiting=2,
            dead_letters=3,
            pending=10,
            successes=30,
            failures=15,
            expired=5,
        )
    return tmp_path
