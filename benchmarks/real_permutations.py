"""llmdrift without its changes: its rows in random order, which have none, through the pipeline's own models.

A permutation puts the calls of each task type and model, each with its outcome, latency and cost, into random order
over the times at which that model was called. Nothing changes in such a stream but by chance, so every alert is a false
one. What is permuted is also run as it was recorded, by the same code: a detector that never speaks would pass.

The times of llmdrift are invented, and 5 s between calls leave no task type a day of traffic, before which no group is
tested. So all is run at a slower pace too, `SLOW`, which is as invented: a week before the change of `prime`.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from aftercall.records import Alert
from aftercall.times import EPOCH, format_time
from benchmarks import real_changes
from benchmarks.columnar import Lane
from benchmarks.real_changes import NEAR, judge, told
from benchmarks.real_sets import DATA, Rules
from benchmarks.traffic import CALL, OUTCOME, Traffic
from flows.dataflow.shards import SHARDS, split
from flows.settings import Settings
from flows.settings.for_models import alert_settings, drift_settings, join_rules
from models.alerts import Alerting
from models.drift import Drift
from models.groups import Groups
from models.join import Join

FOLDER = DATA / "llmdrift"
FAST, SLOW = timedelta(seconds=5), timedelta(minutes=10)
ANSWERED = timedelta(seconds=2)
RULES = Rules(timedelta(minutes=1))
PERMUTATIONS, SEED = 200, 20261120
CALLS = "calls"
"""Alerts on traffic are no false alarms here: when all its rows are used up, the traffic of a task type does end."""
_MICROSECOND = timedelta(microseconds=1)
_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)

Record = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """Calls of each (task type, model) in their order, the first at `starts`, the others `pace` apart.

    One task type after another, each from a midnight on: at the pace `FAST` these are the times of the set. Configs
    are left out, as behind an alias: which version answered is what permutations mix.
    """

    rows: dict[tuple[str, str], list[Record]]
    starts: dict[tuple[str, str], datetime]
    pace: timedelta

    @classmethod
    def read(cls, pace: timedelta) -> Stream | None:
        """As recorded, but for the pace; None where the set is not there."""
        files = [FOLDER / f"{name}.jsonl.gz" for name in ("calls", "outcomes")]
        if not all(file.exists() for file in files):
            return None
        calls, outcomes = (pl.read_ndjson(file, infer_schema_length=None) for file in files)
        wanted = ["call_id", "task_type", "model", "occurred_at", "latency_ms", "cost_usd"]
        told = calls.select(wanted).join(outcomes.select("call_id", "success", "source"), on="call_id")
        rows: dict[tuple[str, str], list[Record]] = {}
        for row in told.sort("occurred_at", "call_id").iter_rows(named=True):
            rows.setdefault((row["task_type"], row["model"]), []).append(row)
        starts: dict[tuple[str, str], datetime] = {}
        free = datetime.fromisoformat(min(mine[0]["occurred_at"] for mine in rows.values()))
        for task in dict.fromkeys(task for task, _ in rows):
            mine = {group: len(calls) for group, calls in rows.items() if group[0] == task}
            starts |= dict.fromkeys(mine, free)
            ended = free + (max(mine.values()) - 1) * pace
            free = ended.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
        return cls(rows, starts, pace)

    @property
    def group_weeks(self) -> float:
        """Weeks from first to last call, summed over (task type, model), and over task types: what is watched apart.

        With one config the watch on (task type, model, config) has the same trials as that on (task type, model).
        """
        spans = {group: (len(rows) - 1) * self.pace / _WEEK for group, rows in self.rows.items()}
        tasks = {task for task, _ in spans}
        return sum(spans.values()) + sum(max(spans[one] for one in spans if one[0] == task) for task in tasks)

    def labels(self) -> list[Record]:
        """The labelled changes at this pace."""
        found: list[Record] = json.loads((FOLDER / "labels.json").read_text())
        for label in found:
            start = self.starts[label["task_type"], label["model"]]
            label["change_at"] = (start + label["change_at_call_index"] * self.pace).isoformat()
        return found

    @property
    def near(self) -> timedelta:
        """How near to a labelled change an alert must date its own: half an hour, or 144 calls where that is more."""
        return max(NEAR, 144 * self.pace)

    def permuted(self, seed: int) -> Stream:
        """The rows of each (task type, model) in random order."""
        rng = np.random.default_rng([SEED, seed])
        mixed = {group: [rows[at] for at in rng.permutation(len(rows))] for group, rows in self.rows.items()}
        return Stream(mixed, self.starts, self.pace)

    def traffic(self) -> Traffic:
        """Calls and outcomes as lines of JSON, by time."""
        lines = sorted(self._lines(), key=lambda line: line[0])
        return Traffic([raw for _, _, raw in lines], np.array([kind for _, kind, _ in lines], np.int8))

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        for group, rows in self.rows.items():
            start, pace, answered = (span // _MICROSECOND for span in (self.starts[group] - EPOCH, self.pace, ANSWERED))
            for number, row in enumerate(rows):
                at = start + number * pace
                call = {name: row[name] for name in ("call_id", "task_type", "model", "latency_ms", "cost_usd")}
                yield at, CALL, _line(at, **call)
                said = {name: row[name] for name in ("call_id", "source", "success")}
                yield at + answered, OUTCOME, _line(at + answered, outcome_id="o", **said)


def alerts_of(traffic: Traffic, settings: Settings) -> list[Alert]:
    """Opened alerts of a stream that is read in one batch: decoder, join, groups, detectors and alerting in a row."""
    rules, groups = join_rules(settings), Groups(len(SHARDS), settings.join.max_groups)
    drift, alerting = Drift(drift_settings(settings)), Alerting(alert_settings(settings))
    joins = {shard: Join(rules) for shard in SHARDS}
    opened: list[Alert] = []
    for shard, arrivals in split(Lane().read(traffic)):
        closed = groups.process(joins[shard].process(arrivals).changes).closed
        if closed is not None:
            alerts = alerting.close(closed, drift.close(closed))
            opened += [alert for alert in alerts if alert.state == "opened"]
    return opened


def lesson(stream: Stream, count: int = PERMUTATIONS) -> Record:
    """What the detectors say of the stream as recorded, and of `count` permutations; `allowed` is by the promise."""
    settings = RULES.settings()
    began = time.process_time()
    changes = told(*judge(stream.labels(), on_rates(alerts_of(stream.traffic(), settings)), stream.near))
    permuted = [alerts_of(stream.permuted(number).traffic(), settings) for number in range(count)]
    alerts = [alert for alerts in permuted for alert in alerts]
    weeks = count * stream.group_weeks
    drift = drift_settings(settings)
    return {
        "pace_s": stream.pace.total_seconds(),
        "longest_h": max(map(len, stream.rows.values())) * stream.pace / _HOUR,
        "changes": changes,
        "permutations": count,
        "seed": SEED,
        "group_weeks": round(weeks, 1),
        "allowed": round(weeks * drift.false_alarms_per_1000_groups_per_week / 1000, 3),
        "false_alarms": sum(one.promise is not None and one.metric != CALLS for one in alerts),
        "unpromised": sum(one.promise is None and one.metric != CALLS for one in alerts),
        "alerts": dict(sorted(Counter(map(_kind, alerts)).items())),
        "cpu_s": round(time.process_time() - began, 1),
    }


def on_rates(alerts: list[Alert]) -> list[real_changes.Alert]:
    """Alerts on success rates as `judge` takes them."""
    names = [field.name for field in fields(real_changes.Alert)]
    rates = [alert for alert in alerts if alert.metric == "success_rate"]
    return [real_changes.Alert(**{name: getattr(alert, name) for name in names}) for alert in rates]


def _kind(alert: Alert) -> str:
    return f"{alert.kind} {alert.metric}" + ("" if alert.promise is None else ", promised")


def _line(at: int, **fields: object) -> bytes:
    return json.dumps(fields | {"occurred_at": format_time(at)}).encode()
