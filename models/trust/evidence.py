"""Reads from closed minutes what they say of each dimension, for groups and for whole task types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_HOUR
from aftercall.vocabulary import OTHER, SILENCE
from models.arrays import I64, Bools
from models.messages import AnyGroup, Closed
from models.trust.delays import AT_HORIZON
from models.trust.dimensions import ACCEPTANCE, ACCURACY, CALL_ERROR, RELIABILITY, TRUST_DIMENSIONS

_NONE: Final[I64] = np.zeros(0, np.int64)


class Checks(NamedTuple):
    """Checks of one dimension by one rule (absent: what has none), by code of the message and minute; net, may be < 0.

    All of shape (n,).
    """

    dimension: int
    rule: str
    code: I64
    minute: I64
    passed: I64
    checked: I64


class Verdicts(NamedTuple):
    """Verdicts by how long they took; all of shape (n,). `bucket`: that of `models.trust.delays`."""

    code: I64
    minute: I64
    success: I64
    bucket: I64
    count: I64  # type: ignore[assignment]  # a column, not the method of tuples


def checks_of(closed: Closed, feedback: frozenset[str]) -> Iterator[Checks]:
    """Every check of a message.

    Accuracy: the verdicts that stand. Reliability: calls, without those that failed by their own error. Acceptance:
    statements of the sources of feedback, whatever stands of them later. All others: checks by rules.
    """
    trials, failed, attempts = closed.trials, closed.failed, closed.attempts
    good, bad = _whole(trials.successes), _whole(trials.failures)
    yield Checks(ACCURACY, "", _whole(trials.code), _whole(trials.minute), good, good + bad)
    calls = _whole(trials.calls)
    yield Checks(RELIABILITY, CALL_ERROR, _whole(trials.code), _whole(trials.minute), calls, calls)
    count = _whole(failed.count)
    yield Checks(RELIABILITY, CALL_ERROR, _whole(failed.code), _whole(failed.minute), -count, 0 * count)
    # A failed attempt counts as a call that failed by its error: neither is one that an agent's user has seen.
    count = _whole(attempts.count)
    yield Checks(RELIABILITY, CALL_ERROR, _whole(attempts.code), _whole(attempts.minute), 0 * count, -count)
    said = closed.responses
    for at in sorted(place for place, source in enumerate(closed.sources) if source in feedback):
        own = (said.source == at) & (said.success >= 0) & (said.statements != 0)
        count = _whole(said.statements[own])
        good = count * said.success[own]
        yield Checks(ACCEPTANCE, closed.sources[at], _whole(said.code[own]), _whole(said.minute[own]), good, count)
    yield from _by_rules(closed)


def _by_rules(closed: Closed) -> Iterator[Checks]:
    checks = closed.checks
    for at, rule in enumerate(closed.rules):
        own = checks.rule == at
        passed, failed = _whole(checks.passed[own]), _whole(checks.failed[own])
        name, dimension = f"{rule.contract}.{rule.rule}", TRUST_DIMENSIONS.index(rule.dimension)
        yield Checks(dimension, name, _whole(checks.code[own]), _whole(checks.minute[own]), passed, passed + failed)


def verdicts_of(closed: Closed) -> Verdicts:
    """Every trial of a message, and how long it took."""
    said = closed.responses
    some = said.trials != 0
    silent = np.array([source == SILENCE for source in closed.sources], np.bool_)
    by_silence: Bools = silent[said.source[some]] if len(silent) else np.zeros(0, np.bool_)
    bucket = np.where(by_silence, AT_HORIZON, _whole(said.bucket[some]))
    code, minute, success = (_whole(column[some]) for column in (said.code, said.minute, said.success))
    return Verdicts(code, minute, success, bucket, _whole(said.trials[some]))


def hours_of(minute: I64) -> I64:
    """The hour of each minute, since 1970."""
    return minute // MINUTES_PER_HOUR


def rows_counted(names: Sequence[tuple[str, str, str]]) -> list[tuple[AnyGroup, ...]]:
    """Under which groups and roll-ups each name counts: of what has folded, only under a task type with a name."""
    return [_counted(name) for name in names]


def _counted(name: tuple[str, str, str]) -> tuple[AnyGroup, ...]:
    task, model, config = name
    if task == OTHER:
        return ()
    whole: AnyGroup = (task, None, None)
    return (whole,) if OTHER in {model, config} else (whole, name)


def _whole(column: np.ndarray[tuple[int], np.dtype[np.integer]]) -> I64:
    return column.astype(np.int64)
