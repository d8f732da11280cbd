"""What leaves the dataflow is logged and counted where an operator looks for it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from aftercall.records import Alert
from aftercall.vocabulary import OTHER
from connectors.metrics import METRICS
from flows.dataflow.outputs import drifted, folded
from flows.dataflow.steps import Alerted
from flows.settings import Settings
from models.groups import TASKS, Folding


def alert(state: str, seq: int, **changes: Any) -> Alert:
    at = "2026-01-01T00:00:00Z"
    fields: dict[str, Any] = {
        "seq": seq,
        "alert_id": "0" * 32,
        "state": state,
        "kind": "success_rate",
        "severity": "critical",
        "opened_at": at,
        "updated_at": at,
        "closed_at": at if state == "closed" else None,
        "task_type": "t",
        "model": None,
        "config": None,
        "metric": "success_rate",
        "direction": "down",
        "baseline": 0.9,
        "current": 0.7,
        "effect_low": -0.3,
        "effect_high": -0.1,
        "changed_at": at,
        "promise": None,
        "reason": f"t: record {seq}.",
        "evidence": {},
    }
    return Alert.sealed(**(fields | changes))


LOOK = "look for ids in "


@pytest.mark.parametrize(
    ("pool", "says", "example", "task_type"),
    [
        ("{t}", "Task type {t} has more than 2000 groups", f"model m, config 9f8e7d ({LOOK}model or config", "{t}"),
        (
            OTHER,
            "There are more than 100000 groups",
            f"task type {{t}}, model m, config 9f8e7d ({LOOK}task_type",
            OTHER,
        ),
        (TASKS, "There are more than 1000 task types", f"{{t}} ({LOOK}task_type, or raise join.max_task_types)", OTHER),
    ],
    ids=["of a task type", "of all", "on task types"],
)
def test_a_cap_that_is_reached_is_logged_with_an_example(
    pool: str, says: str, example: str, task_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    item: Any = SimpleNamespace(folding=[Folding(pool, ("{t}", "m", "9f8e7d"))], folded_at=7_200_000_000)
    (raised,) = folded(Settings())(("groups", item))
    assert (raised.kind, raised.opened_at.isoformat()) == ("group_cap", "1970-01-01T02:00:00+00:00")
    assert raised.task_type == task_type
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"alert opened (warning): {says}: further ones are counted together as __other__")
    assert f", for example {example}" in line


def test_an_alert_is_logged_where_it_opens_and_where_it_closes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aftercall.alerts")
    alerts = [alert("opened", 1), alert("updated", 2), alert("closed", 3)]
    closed: Any = SimpleNamespace()
    assert drifted(("alerting", Alerted(closed, alerts, (), 4))) == alerts
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "alert opened (critical): t: record 1."),
        ("INFO", "alert closed: t: record 3."),
    ]
    assert METRICS.figures().open_alerts == 4
