"""Alerts stay as they were when detectors still made records themselves (commit f290d4d): all but the wording.

Since then, on purpose: what an alarm selected is allowed for, and looks correct it (decision 0027); known moments have
a part of the promise (0033), of responses a smaller fall is looked for too (0032), and outcomes of one
source and minute weigh by how far such have agreed (0039).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aftercall.records import Alert, to_json
from aftercall.times import DAY_US
from models.alerts.alerting import Alerting
from models.drift.detectors import Drift, DriftSettings
from simulated.service import DAY, DAYS, messages
from simulated.trials import for_alerts

SETTINGS = DriftSettings(
    false_alarms_per_1000_groups_per_week=30.0,
    warmup_us=0,
    margin=0.01,
    new_normal_after_us=4 * DAY_US,
    unpromised_tasks=frozenset({"search"}),
)
GOLDEN = [json.loads(line) for line in (Path(__file__).parent / "golden_alerts.jsonl").read_text().splitlines()]


def but_for_the_wording(alert: Alert) -> dict[str, Any]:
    """Without the sentence, the hash over it and the later `split`; of the caveat, whether there is one."""
    record: dict[str, Any] = json.loads(to_json(alert))
    return {name: value for name, value in record.items() if name not in {"reason", "event_id", "split"}} | {
        "caveat": record["caveat"] is not None
    }


def test_the_golden_alerts_are_of_every_kind_and_state() -> None:
    kinds = {(record["kind"], record["state"]) for record in GOLDEN}
    assert kinds >= {
        (kind, state) for kind in ("drift", "shift", "volume") for state in ("opened", "updated", "closed")
    }
    beside = [other for record in GOLDEN for other in record.get("other_alarms", [])]
    assert {other["promised"] for other in beside} == {True, False}, "a quantile brings its promise to a mean's shift"
    assert {record["promise"] is None for record in GOLDEN} == {True, False}
    assert {record["severity"] for record in GOLDEN} == {"info", "warning", "critical"}
    assert any("adwin_rate" in record["evidence"] for record in GOLDEN)
    assert any("current_after" in record["evidence"] for record in GOLDEN)


@pytest.mark.slow
def test_the_alerts_on_a_simulated_service_that_resumes_every_day_are_the_golden_ones() -> None:
    drift, stage = Drift(SETTINGS), Alerting(for_alerts(SETTINGS))
    alerts: list[Alert] = []
    for closed in messages([day * DAY for day in range(1, DAYS + 1)]):
        alerts += stage.close(closed, drift.close(closed))
        drift = Drift.from_state(drift.state(), SETTINGS)
        stage = Alerting.from_state(stage.state(), for_alerts(SETTINGS))
    assert [but_for_the_wording(alert) for alert in alerts] == GOLDEN
