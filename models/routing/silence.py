"""An arm whose feedback has stopped is neither better nor worse: it has at most the weight that it had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from aftercall.records import Alert, OtherAlarm
from aftercall.vocabulary import EVERY_TASK
from models.arrays import F64, Bools
from models.routing.arm_counts import Arm

_VOLUME: Final = "volume"
_RESPONSES: Final = "responses"


class _Stopped(NamedTuple):
    """Whose answers stay out; None: all."""

    task_type: str
    model: str | None
    config: str | None


def stops_feedback(alert: Alert) -> bool:
    """Whether it, or what it names beside its cause, says that fewer calls than usual are answered, by any source."""
    return any(True for _ in _stopped(alert))


def silent(task_type: str, arms: Sequence[Arm], alerts: Iterable[Alert]) -> Bools:
    """Which arms of a task type get fewer answers than usual, by its open alerts. Shape (arms,)."""
    stopped = [one for alert in alerts for one in _stopped(alert) if one.task_type in {EVERY_TASK, task_type}]
    return np.array(
        [any(one.model in {None, arm[0]} and one.config in {None, arm[1]} for one in stopped) for arm in arms],
        np.bool_,
    )


def _stopped(alert: Alert) -> Iterator[_Stopped]:
    if _few_answers(alert):
        yield _Stopped(alert.task_type, alert.model, alert.config)
    for other in alert.other_alarms:
        if _few_answers(other) and not other.over:
            yield _Stopped(other.task_type, other.model, other.config)


def _few_answers(one: Alert | OtherAlarm) -> bool:
    return one.kind == _VOLUME and one.metric.partition(":")[0] == _RESPONSES and one.direction == "down"


def held(shares: F64, arms: Sequence[Arm], quiet: Bools, able: Bools, before: Mapping[Arm, float]) -> F64:
    """Weights in which no silent arm has more than before; what that takes from them goes to the others.

    Where all arms that may be served are silent, they keep their weights.

    Args:
        shares: the weights that evidence gives, sum 1. Shape (arms,).
        arms: their names.
        quiet: which are silent.
        able: which may be served; the others have 0.
        before: the weights of the last recommendation; empty where there was none, then nothing is held.
    """
    if not before or not (quiet & able).any():
        return shares
    last = np.array([before.get(arm, 0.0) for arm in arms])
    if not (able & ~quiet).any():
        kept = np.where(able, last, 0.0)
        return kept / kept.sum() if kept.sum() > 0 else shares
    most = np.where(quiet, np.minimum(shares, last), shares)
    free = able & ~quiet
    left = 1.0 - float(most[quiet].sum())
    open_ = np.where(free, shares, 0.0)
    # Where none of the others can be the best, all of them are as likely to be.
    open_ = open_ / open_.sum() if open_.sum() > 0 else free / free.sum()
    found: F64 = np.where(free, left * open_, np.where(quiet, most, 0.0))
    return found
