"""The alerts on success rates that a replay writes are those of the slow references, killed on its way or not."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from aftercall.records import Direction, to_json
from flows.demo.simulate import simulate
from flows.settings.for_models import drift_settings
from flows.settings.loading import load
from models.alarms.alarm import Alarm, RateChange, Series
from models.alarms.digits import rounded
from models.alarms.open_alarms import OpenAlarms
from models.alerts.alerting import Alerting
from models.drift.settings import DriftSettings
from models.messages import (
    NO_VALUES,
    AnyGroup,
    Closed,
    ErrorTrials,
    Group,
    Responses,
    SharedTrials,
    SliceTrials,
    TrialDeltas,
)
from models.simulation.scenario import DEMO, Scenario, SimIncident
from models.stats.intervals import newcombe
from models.stats.minute_delays import bucket_of
from oracle.bursts import Less, ReferenceBursts
from oracle.drift import Facts, Found, ReferenceDrift
from oracle.held import Held, trials_of
from oracle.order import File, reading_order, watermarks
from oracle.records import MINUTE_US, Record, Rules
from oracle.replay import Oracle
from simulated.trials import for_alerts
from system.runs import History, replay
from system.test_kill import killed

pytestmark = pytest.mark.slow

SETTINGS = load(None, join={"horizon": "12h"})
RULES = Rules(horizon_us=12 * 60 * MINUTE_US, precedence=tuple(SETTINGS.verdict.precedence))
DAYS = 9.0
Alert = dict[str, Any]


def scenario(task: int, incident: SimIncident, arms: tuple[int, ...]) -> Scenario:
    """One task type of the demo, and some of its arms."""
    chosen = tuple(DEMO.arms[arm] for arm in arms)
    whole = sum(arm.share for arm in chosen)
    return replace(
        DEMO,
        tasks=(replace(DEMO.tasks[task], share=1.0),),
        arms=tuple(replace(arm, share=arm.share / whole) for arm in chosen),
        incident=incident,
    )


TRAFFIC = (
    (scenario(0, SimIncident("support_triage", "atlas-large", at=0.7, drop=0.25), (0, 3)), 700.0),
    (scenario(1, SimIncident("invoice_extraction", "birch-2", at=0.82, drop=0.5), (0, 1, 2)), 400.0),
    (scenario(2, SimIncident("code_review", "cedar-mini", at=0.62, drop=-0.3), (3,)), 300.0),
)
"""Scenarios and calls a day: a model gets worse, another, of two configs, too; one gets better."""


class Expected(NamedTuple):
    """Files, and the alerts on success rates that follow from them."""

    history: History
    found: list[Found]
    alerts: list[Alert]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    folder = tmp_path_factory.mktemp("drift")
    draw = random.Random(3)
    written = History(folder / "calls.jsonl", folder / "outcomes.jsonl")
    parts = [
        simulate(folder / str(index), days=DAYS, calls_per_day=per_day, seed=20 + index, scenario=one)
        for index, (one, per_day) in enumerate(TRAFFIC)
    ]
    files = []
    for kind, path, sources in (
        ("calls", written.calls, [part.calls for part in parts]),
        ("outcomes", written.outcomes, [part.outcomes for part in parts]),
    ):
        lines = [line for source in sources for line in source.read_bytes().splitlines()]
        draw.shuffle(lines)
        files.append(File(kind, tuple(lines)))
        path.write_bytes(files[-1].content())
    held, watermark = joined(files)
    found, alerts = reference_alerts(held, watermark // MINUTE_US, drift_settings(SETTINGS))
    return Expected(written, found, alerts)


def joined(files: list[File]) -> tuple[list[Held], int]:
    """All calls as the oracle holds them in the end, and the final watermark; it asks about one call at a time."""
    order = reading_order(files)
    before, last = watermarks(order, len(files))
    of: dict[str, list[tuple[Record, int]]] = {}
    for read, watermark in zip(order, before, strict=True):
        of.setdefault(read.record.call_id, []).append((read.record, watermark))
    held = []
    for records in of.values():
        oracle = Oracle(RULES)
        for record, watermark in records:
            oracle.feed(record, watermark)
        oracle.finish(last)
        held += oracle._calls
    return held, last


def reference_alerts(held: list[Held], through: int, settings: DriftSettings) -> tuple[list[Found], list[Alert]]:
    """What the reference finds in the minutes that have closed, and the alerts that become of it."""
    facts: dict[int, dict[Group, Facts]] = {}
    slices: dict[tuple[int, Group, str, bool], int] = {}
    answers: Counter[tuple[int, Group, str, bool, int]] = Counter()
    errors: dict[tuple[int, Group, str], int] = {}
    for one in held:
        group = (one.call.task_type, one.call.model, one.call.config)
        facts.setdefault(one.minute, {}).setdefault(group, Facts()).calls += 1
        for minute, verdict, source in trials_of(one):
            success = verdict == "success"
            fact = facts.setdefault(minute, {}).setdefault(group, Facts())
            fact.trials.append((success, minute - one.minute))
            fact.said.append((str(source), success))
            key = (minute, group, str(source), success)
            slices[key] = slices.get(key, 0) + 1
            answers[*key, bucket_of(np.array([minute - one.minute])).item()] += 1
            if not success and one.call.error is not None:
                failed = (minute, group, one.call.error)
                errors[failed] = errors.get(failed, 0) + 1
    reference, shared = ReferenceDrift(settings), dict[tuple[int, Group], float]()
    reference.bursts = bursts = NotedBursts()
    found: list[Found] = []
    for at in (at for at in sorted(facts) if at < through):
        found += reference.minute(at, facts[at])
        shared |= {
            (at, group): less.excess for group, less in bursts.last.items() if less.excess and group in facts[at]
        }
    book = OpenAlarms(settings.new_normal_after_us)
    alarms = [as_alarm(one, book, settings) for one in found]
    slices = {key: n for key, n in slices.items() if key[0] < through}
    errors = {key: n for key, n in errors.items() if key[0] < through}
    calls = {(at, group): each.calls for at, groups in facts.items() if at < through for group, each in groups.items()}
    closed = with_answers(as_closed(slices, errors, through), calls, answers)
    closed = closed._replace(shared=as_shared(shared, closed.names))
    alerts = Alerting(for_alerts(settings)).close(closed, alarms)
    return found, [json.loads(to_json(alert)) for alert in alerts]


class NotedBursts(ReferenceBursts):
    """Notes what trials of the last minute share, by group and roll-up."""

    last: dict[AnyGroup, Less]

    def minute(self, facts: Mapping[Group, Facts]) -> dict[AnyGroup, Less]:
        self.last = super().minute(facts)
        return self.last


def as_shared(shared: dict[tuple[int, Group], float], names: list[Group]) -> SharedTrials:
    """As the drift step hands it on."""
    rows = sorted((minute, names.index(group), round(excess * 64)) for (minute, group), excess in shared.items())
    minute, code, excess = np.array(rows, np.int64).reshape(-1, 3).T
    return SharedTrials(code.astype(np.int32), minute.astype(np.int32), excess)


def as_alarm(found: Found, book: OpenAlarms, settings: DriftSettings) -> Alarm:
    """As the detector would put it, against the baseline of the alert that is open."""
    series: Series = ("drift", found.group, "success_rate")
    at = (found.minute + 1) * MINUTE_US
    book.expire(at, series)
    direction: Direction = "down" if found.worse else "up"
    f0, n0 = book.origin(series, direction) or found.before
    f1, n1 = found.since
    low, high = newcombe(n0 - f0, n0, n1 - f1, n1, 2.58)
    evidence = {"failures_before": f0, "trials_before": n0, "failures_since": f1, "trials_since": n1}
    evidence |= {"mean_r": found.mean_r, "margin": found.margin, "threshold": settings.threshold}
    alarm = Alarm(
        at=at,
        series=series,
        direction=direction,
        baseline=1 - f0 / n0,
        current=1 - f1 / n1,
        effect_low=float(low),
        effect_high=float(high),
        changed_at=found.changed * MINUTE_US,
        promise=settings.false_alarms_per_1000_groups_per_week,
        evidence=rounded(evidence),
        details=RateChange(inherited=False),
    )
    return book.add(alarm, (f0, n0))


def as_closed(
    slices: dict[tuple[int, Group, str, bool], int], errors: dict[tuple[int, Group, str], int], through: int
) -> Closed:
    """All minutes in one message."""
    names = sorted({group for _, group, _, _ in slices})
    sources = sorted({source for _, _, source, _ in slices})
    rows = sorted((minute, names.index(g), sources.index(s), int(ok), n) for (minute, g, s, ok), n in slices.items())
    minute, code, source, success, count = np.array(rows, np.int32).T
    by_source = SliceTrials(code, minute, source, success.astype(np.int8), count)
    nothing = np.zeros(len(rows), np.int32)
    trials = TrialDeltas(code, minute, count * success, count * (1 - success), nothing, nothing, nothing)
    texts = sorted({text for _, _, text in errors})
    cells = sorted((minute, names.index(g), texts.index(text), n) for (minute, g, text), n in errors.items())
    minute, code, error, count = np.array(cells, np.int32).T
    failed = ErrorTrials(code, minute, error, count)
    sent = Closed(through, names, trials, NO_VALUES, tuple(sources), slices=by_source)
    return sent._replace(errors=tuple(texts), failed=failed)


def with_answers(
    closed: Closed, calls: dict[tuple[int, Group], int], answers: Counter[tuple[int, Group, str, bool, int]]
) -> Closed:
    """With the calls, and how long each trial took."""
    assert {group for _, group in calls} == set(closed.names), "each group has trials"
    rows = sorted((minute, closed.names.index(group), count) for (minute, group), count in calls.items())
    minute, code, count = np.array(rows, np.int32).T
    trials = TrialDeltas(code, minute, *(0 * count,) * 4, count)
    took = sorted(
        (minute, closed.names.index(group), closed.sources.index(source), int(ok), bucket, number)
        for (minute, group, source, ok, bucket), number in answers.items()
        if minute < closed.through
    )
    minute, code, source, success, bucket, number = np.array(took, np.int32).T
    responses = Responses(code, minute, source, success.astype(np.int8), bucket.astype(np.int16), number, number)
    return closed._replace(trials=trials, responses=responses)


def assert_alerts(out: Path, expected: Expected) -> None:
    """The alerts on success rates in `alerts.jsonl` are the expected ones; ADWIN's opinion is not of the reference."""
    lines = [json.loads(line) for line in (out / "alerts.jsonl").read_text().splitlines()]
    got = [line for line in lines if line["kind"] == "drift"]
    assert len(got) == len(expected.alerts)
    for alert, wanted in zip(got, expected.alerts, strict=True):
        numbers = {name: value for name, value in alert["evidence"].items() if not name.startswith("adwin_")}
        assert numbers == pytest.approx(wanted["evidence"], rel=1e-5)
        # The hash is one of the evidence too; by which facets of calls a drop splits is not of the reference either.
        beside: Alert = {"evidence": {}, "event_id": "", "mixes": None}
        assert {**alert, **beside} == {**wanted, **beside}


def test_the_traffic_raises_alarms_of_every_kind(expected: Expected) -> None:
    assert {alarm.group[0] for alarm in expected.found} == {"support_triage", "invoice_extraction", "code_review"}
    assert {alarm.worse for alarm in expected.found} == {True, False}
    assert {alert["state"] for alert in expected.alerts} >= {"opened", "updated"}
    assert len({alert["alert_id"] for alert in expected.alerts}) >= len(TRAFFIC)


def test_a_replay_writes_the_alerts_of_the_reference(expected: Expected, tmp_path: Path) -> None:
    replay(expected.history, tmp_path / "out", workers=2)
    assert_alerts(tmp_path / "out", expected)


def test_a_replay_killed_again_and_again_writes_the_alerts_of_the_reference(expected: Expected, tmp_path: Path) -> None:
    """Killed as soon as a snapshot has been published: then an epoch has ended whose state it goes on from."""
    out = tmp_path / "out"
    alive = [killed(expected.history, out, 1, 60.0, partial(published_after, snapshot_of(out))) for _ in range(3)]
    replay(expected.history, out)
    assert_alerts(out, expected)
    assert any(alive), "each time it ended before it could be killed"


def published_after(before: str | None, out: Path) -> bool:
    return snapshot_of(out) not in {None, before}


def snapshot_of(out: Path) -> str | None:
    """The name of the newest snapshot."""
    link = out / "outcomes.duckdb"
    return str(link.readlink()) if link.is_symlink() else None
