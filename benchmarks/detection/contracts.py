"""Measures the promise and the delays of rules of contracts that are watched by their rate (`alert = "rate"`).

Each call of a group is checked by two rules, of which each group violates one in a hundred or so. Minutes are fed to
the detector of the product as the group step would send them. For the delays violations rise after a week.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import HOUR_US, MINUTE_US, MINUTES_PER_DAY
from benchmarks.detection.promise import poisson_upper
from benchmarks.detection.sources import STREAMS, Stream, within_day
from models.alarms.alarm import Alarm
from models.alarms.rule_alerts import RuleAlert
from models.arrays import I64, Bools
from models.columns.group_sums import total
from models.drift import Drift, DriftSettings
from models.messages import NO_TRIALS, NO_VALUES, Closed, Group
from models.side_messages import CheckedRule, CheckTrials

PROMISE: Final = 50.0
"""False alarms per 1,000 groups and week that are asked for: so many that a few weeks show whether it is kept."""
RULES: Final = tuple(CheckedRule("refund", "1", name, "latency") for name in ("cheap", "fast"))
ALERTS: Final = {rule[:3]: RuleAlert("rate", "warning") for rule in RULES}
RISES: Final = (0.06, 0.3)
"""To which share violations rise after a week."""
START: Final = 20_412 * MINUTES_PER_DAY
_SEED: Final = 47
_USUAL: Final = 0.01
_MODELS: Final = 6
"""Groups of a task type."""
_CHANGE: Final = 7
_DAYS: Final = 28


class Size(NamedTuple):
    """Groups and weeks of the promise; groups of the delays."""

    groups: int
    weeks: int
    changing: int


class Checks(NamedTuple):
    """Results of rules by minute; of shape (rows,)."""

    minute: I64
    group: I64
    rule: I64
    failed: Bools


def table(size: Size) -> list[dict[str, Any]]:
    """A row per stream: alarms on rules over those promised, and median hours until more violations are found."""
    return [_row(number, stream, size) for number, stream in enumerate(STREAMS)]


def checks(stream: Stream, rng: np.random.Generator, groups: int, days: int, to: float | None = None) -> Checks:
    """Results of `days` days; from the second week on the last rule is violated at the rate `to`, else rates stay."""
    count = rng.poisson(stream.per_day, (days, groups))
    group, day = np.tile(np.arange(groups), days).repeat(count.ravel()), np.arange(days).repeat(count.sum(axis=1))
    at = START + day * MINUTES_PER_DAY + within_day(rng, len(group), stream.swing)
    parts = []
    for number in range(len(RULES)):
        usual = np.full(groups, _USUAL) if to else np.clip(rng.beta(2, 98, groups), 0.002, 0.2)
        rates = np.broadcast_to(usual, (days, groups))
        if to and number == len(RULES) - 1:
            rates = np.where(np.arange(days)[:, None] >= _CHANGE, to, rates)
        if stream.daily:
            worth = 1 / stream.daily - 1
            rates = rng.beta(rates * worth, (1 - rates) * worth)
        parts.append((at, group, np.full(len(at), number), rng.random(len(at)) < rates[day, group]))
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return Checks(*(column[order] for column in columns))


def alarms(found: Checks, groups: int, days: int, promise: float) -> list[Alarm]:
    """All that is found of configs: more violations."""
    names: list[Group] = [(f"task-{row // _MODELS:04d}", f"model-{row % _MODELS}", "v1") for row in range(groups)]
    detector = Drift(DriftSettings(false_alarms_per_1000_groups_per_week=promise, rules=ALERTS))
    raised = list[Alarm]()
    for day in range(days):
        begin = START + day * MINUTES_PER_DAY
        raised += detector.close(closed(found, names, begin, begin + MINUTES_PER_DAY))
    return [alarm for alarm in raised if alarm.series[1][2] is not None and alarm.ends is None]


def closed(found: Checks, names: list[Group], begin: int, end: int) -> Closed:
    """What the group step would send."""
    rows = slice(*np.searchsorted(found.minute, (begin, end)).tolist())
    columns: list[Any] = [column[rows] for column in found]
    part = Checks(*columns)
    first, (failed, checked) = total(
        (part.minute, part.group, part.rule), (part.failed.astype(np.int32), np.ones(len(part.minute), np.int32))
    )
    minute, group, rule = (column[first].astype(np.int32) for column in part[:3])
    return Closed(
        end, names, NO_TRIALS, NO_VALUES, rules=RULES, checks=CheckTrials(group, minute, rule, checked - failed, failed)
    )


def _row(number: int, stream: Stream, size: Size) -> dict[str, Any]:
    days = size.weeks * 7
    steady = checks(stream, np.random.default_rng([_SEED, number]), size.groups, days)
    firsts = {alarm.series for alarm in alarms(steady, size.groups, days, PROMISE)}
    settings = DriftSettings(false_alarms_per_1000_groups_per_week=PROMISE, rules=ALERTS)
    promised = len(RULES) * size.groups * size.weeks / settings.threshold_of("contract", 1 / len(RULES))
    row = {
        "stream": stream.name,
        "alarms": len(firsts),
        "promised": promised,
        "ratio": len(firsts) / promised,
        "upper": poisson_upper(len(firsts)) / promised,
    }
    for place, to in enumerate(RISES):
        rng = np.random.default_rng([_SEED, 100 + number, place])
        row[f"to_{round(100 * to)}_h"] = _delay(checks(stream, rng, size.changing, _DAYS, to), size.changing)
    return row


def _delay(rising: Checks, groups: int) -> float | None:
    """Median hours until groups alarm for more violations, at the default promise; None: most do not."""
    begin = (START + _CHANGE * MINUTES_PER_DAY) * MINUTE_US
    found: dict[Any, float] = {}
    for alarm in alarms(rising, groups, _DAYS, 1.0):
        if alarm.at > begin and alarm.series[2].endswith(".fast"):
            found.setdefault(alarm.series[1], (alarm.at - begin) / HOUR_US)
    hours = np.full(groups, np.inf)
    hours[: len(found)] = list(found.values())
    middle = float(np.median(hours))
    return middle if np.isfinite(middle) else None
