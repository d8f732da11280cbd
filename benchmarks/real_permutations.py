"""Counts false alarms on permutations of llmdrift, whose rows in random order hold no change.

A permutation puts the calls of each task type and model, each with its outcome, latency and cost, into random order
over the times at which that model was called. Such a stream changes only by chance, so every alert is a false one. The
recorded order is run by the same code, because a detector that never raises an alarm would pass otherwise.

The times of llmdrift are invented. At 5 s between calls no task type has a day of traffic, before which no group is
tested. So the stream is also run at a slower pace, `SLOW`, which is invented too: a week before the change of `prime`.
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
from benchmarks.real_changes import NEAR, judge, plain
from benchmarks.real_sets import DATA, Rules
from benchmarks.traffic import CALL, OUTCOME, Traffic
from flows.dataflow.shards import SHARDS, split
from flows.settings import Settings
from flows.settings.for_models import alert_settings, drift_settings, group_caps, join_rules
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
"""Alerts on traffic are no false alarms here: the traffic of a task type does end when its rows are used up."""
_MICROSECOND = timedelta(microseconds=1)
_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)

Record = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """Calls of each (task type, model) in their order, the first at `starts`, the others `pace` apart.

    One task type follows another, each from a midnight on: at the pace `FAST` these are the times of the set. Configs
    are left out, as behind an alias, because permutations mix the versions that answered; or they are `named`, by
    place: the calls before that of the change have the one before, the others the one after, whatever version answered.
    """

    rows: dict[tuple[str, str], list[Record]]
    starts: dict[tuple[str, str], datetime]
    pace: timedelta
    named: bool = False

    @classmethod
    def read(cls, pace: timedelta, *, named: bool = False) -> Stream | None:
        """The stream as recorded, except for the pace; None if the set is absent."""
        files = [FOLDER / f"{name}.jsonl.gz" for name in ("calls", "outcomes")]
        if not all(file.exists() for file in files):
            return None
        calls, outcomes = (pl.read_ndjson(file, infer_schema_length=None) for file in files)
        wanted = ["call_id", "task_type", "model", "occurred_at", "latency_ms", "cost_usd"]
        joined = calls.select(wanted).join(outcomes.select("call_id", "success", "source"), on="call_id")
        rows: dict[tuple[str, str], list[Record]] = {}
        for row in joined.sort("occurred_at", "call_id").iter_rows(named=True):
            rows.setdefault((row["task_type"], row["model"]), []).append(row)
        starts: dict[tuple[str, str], datetime] = {}
        start = datetime.fromisoformat(min(group_rows[0]["occurred_at"] for group_rows in rows.values()))
        for task in dict.fromkeys(task for task, _ in rows):
            lengths = {group: len(calls) for group, calls in rows.items() if group[0] == task}
            starts |= dict.fromkeys(lengths, start)
            ended = start + (max(lengths.values()) - 1) * pace
            start = ended.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
        return cls(rows, starts, pace, named)

    @property
    def group_weeks(self) -> float:
        """Weeks from first to last call, summed over the series: one per (task type, model) and one per task type.

        With one config the series of (task type, model, config) has the same trials as that of (task type, model); and
        those of two configs that follow each other have them between them.
        """
        spans = {group: (len(rows) - 1) * self.pace / _WEEK for group, rows in self.rows.items()}
        tasks = {task for task, _ in spans}
        return sum(spans.values()) + sum(max(spans[group] for group in spans if group[0] == task) for task in tasks)

    def labels(self) -> list[Record]:
        """The labelled changes at this pace."""
        labels: list[Record] = json.loads((FOLDER / "labels.json").read_text())
        for label in labels:
            start = self.starts[label["task_type"], label["model"]]
            label["change_at"] = (start + label["change_at_call_index"] * self.pace).isoformat()
        return labels

    @property
    def near(self) -> timedelta:
        """How near to a labelled change an alert must date its own: half an hour or 144 calls, whichever is longer."""
        return max(NEAR, 144 * self.pace)

    def permuted(self, seed: int) -> Stream:
        """The rows of each (task type, model) in random order."""
        rng = np.random.default_rng([SEED, seed])
        mixed = {group: [rows[at] for at in rng.permutation(len(rows))] for group, rows in self.rows.items()}
        return Stream(mixed, self.starts, self.pace, self.named)

    def traffic(self) -> Traffic:
        """Calls and outcomes as lines of JSON, by time."""
        lines = sorted(self._lines(), key=lambda line: line[0])
        return Traffic([raw for _, _, raw in lines], np.array([kind for _, kind, _ in lines], np.int8))

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        labels = self.labels() if self.named else []
        changes = {(label["task_type"], label["model"]): label for label in labels}
        for group, rows in self.rows.items():
            start, pace, answered = (span // _MICROSECOND for span in (self.starts[group] - EPOCH, self.pace, ANSWERED))
            for number, row in enumerate(rows):
                at = start + number * pace
                call = {name: row[name] for name in ("call_id", "task_type", "model", "latency_ms", "cost_usd")}
                if group in changes:
                    after = number >= changes[group]["change_at_call_index"]
                    call["config"] = changes[group]["after" if after else "before"]
                yield at, CALL, _line(at, **call)
                outcome = {name: row[name] for name in ("call_id", "source", "success")}
                yield at + answered, OUTCOME, _line(at + answered, outcome_id="o", **outcome)


def alerts_of(traffic: Traffic, settings: Settings) -> list[Alert]:
    """The alerts opened on a stream, read in one batch through decoder, join, groups, detectors and alerting."""
    rules, groups = join_rules(settings), Groups(len(SHARDS), group_caps(settings))
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
    """Results on the recorded stream and on `count` permutations; `allowed`: false alarms that the promise allows."""
    settings = RULES.settings()
    began = time.process_time()
    changes = plain(*judge(stream.labels(), on_rates(alerts_of(stream.traffic(), settings)), stream.near))
    permuted = [alerts_of(stream.permuted(number).traffic(), settings) for number in range(count)]
    alerts = [alert for alerts in permuted for alert in alerts]
    weeks = count * stream.group_weeks
    drift = drift_settings(settings)
    return {
        "pace_s": stream.pace.total_seconds(),
        "named": stream.named,
        "longest_h": max(map(len, stream.rows.values())) * stream.pace / _HOUR,
        "changes": changes,
        "permutations": count,
        "seed": SEED,
        "group_weeks": round(weeks, 1),
        "allowed": round(weeks * drift.false_alarms_per_1000_groups_per_week / 1000, 3),
        "false_alarms": sum(alert.promise is not None and alert.metric != CALLS for alert in alerts),
        "unpromised": sum(alert.promise is None and alert.metric != CALLS for alert in alerts),
        "alerts": dict(sorted(Counter(map(_kind, alerts)).items())),
        "cpu_s": round(time.process_time() - began, 1),
    }


def on_rates(alerts: list[Alert]) -> list[real_changes.Alert]:
    """The alerts on success rates, in the form that `judge` takes."""
    names = [field.name for field in fields(real_changes.Alert)]
    rates = [alert for alert in alerts if alert.metric == "success_rate"]
    return [real_changes.Alert(**{name: getattr(alert, name) for name in names}) for alert in rates]


def _kind(alert: Alert) -> str:
    return f"{alert.kind} {alert.metric}" + ("" if alert.promise is None else ", promised")


def _line(at: int, **fields: object) -> bytes:
    return json.dumps(fields | {"occurred_at": format_time(at)}).encode()
