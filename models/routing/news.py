"""Sorts what a message of closed minutes holds by task type, as routing reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from aftercall.times import MINUTE_US
from aftercall.vocabulary import OTHER
from models.arrays import I64
from models.messages import Closed
from models.routing.beside import Feed, feeds, places


class Entries(NamedTuple):
    """Rows of one kind, of one task type in one message, ascending in minute."""

    arms: I64
    minutes: I64
    counts: tuple[I64, ...]


class News(NamedTuple):
    """What a message has of one task type, each as columns of counts.

    `trials`: net successes, failures, calls. `shared`: what trials share. `dated`: quarter of an hour of the call, net
    successes, failures, calls. `delays`: success, bucket of the delay, verdicts.
    """

    trials: Entries | None
    shared: Entries | None
    dated: Entries | None
    delays: Entries | None


class Cursor:
    """How far a message has been read: the number of the next entry of each kind, and of the next act."""

    def __init__(self) -> None:
        self.read = [0] * len(News._fields)
        self.acts = 0


NO_NEWS = News(*(None,) * len(News._fields))


def by_task(
    closed: Closed, number: Callable[[list[tuple[str, str, str]]], list[int]], *, with_segments: bool
) -> tuple[dict[str, News], dict[str, Feed]]:
    """The entries of each task type, and what weighs beside them.

    Args:
        closed: the message.
        number: gives the arm's number of each group, of which none is folded.
        with_segments: whether any task type declares some.
    """
    tables: tuple[Any, ...] = (closed.trials, closed.shared, closed.dated, closed.delays)
    codes = [closed.trials.code, closed.values.code, closed.dated.code, closed.delays.code, closed.shared.code]
    task_names, task_of, arm_of = _codes(closed.names, codes, number)
    split = [
        _split(task_names, task_of[table.code], arm_of[table.code], table.minute, counts)
        for table, counts in zip(tables, _columns(closed), strict=True)
    ]
    news = {name: News(*(table.get(name) for table in split)) for name in task_names}
    return news, feeds(closed, task_names, task_of, arm_of, with_segments=with_segments)


def _columns(closed: Closed) -> list[tuple[I64, ...]]:
    trials, dated, delays = closed.trials, closed.dated, closed.delays
    columns = (
        (trials.successes, trials.failures, trials.calls),
        (closed.shared.excess,),
        (dated.quarter, dated.successes, dated.failures, dated.calls),
        (delays.success, delays.bucket, delays.count),
    )
    return [tuple(column.astype(np.int64) for column in of) for of in columns]


def _codes(names: list[Any], codes: list[Any], number: Callable[[list[Any]], list[int]]) -> tuple[list[str], I64, I64]:
    """Task types; and per code the place of its own and the arm's number, -1 and 0 for groups that are not arms."""
    task_of, arm_of = np.full(len(names), -1, np.int64), np.zeros(len(names), np.int64)
    index: dict[str, int] = {}
    # Arms are numbered in the order of the rows, which no cut of messages can change.
    arms = [code for code in _in_order(*codes) if OTHER not in names[code][:2]]
    for code, arm in zip(arms, number([names[code] for code in arms]), strict=True):
        task_of[code] = index.setdefault(names[code][0], len(index))
        arm_of[code] = arm
    return list(index), task_of, arm_of


def _in_order(*codes: Any) -> Iterable[int]:
    joined = np.concatenate(codes)
    _, first = np.unique(joined, return_index=True)
    ordered: list[int] = joined[np.sort(first)].tolist()
    return ordered


def _split(task_names: list[str], tasks: I64, arms: I64, minutes: Any, counts: tuple[I64, ...]) -> dict[str, Entries]:
    return {
        name: Entries(arms[rows], minutes[rows].astype(np.int64), tuple(c[rows] for c in counts))
        for name, rows in places(task_names, tasks).items()
    }


def up_to(now: int | None, entries: Entries | None, start: int) -> tuple[Entries | None, int]:
    """The entries from number `start` on of minutes that end by `now` (None: all), None without any; and the next."""
    if entries is None:
        return None, start
    if now is None:
        stop = entries.minutes.shape[0]
    else:
        stop = int(np.searchsorted(entries.minutes, now // MINUTE_US, side="left"))
    if stop <= start:
        return None, stop
    cut = slice(start, stop)
    part = Entries(entries.arms[cut], entries.minutes[cut], tuple(column[cut] for column in entries.counts))
    return part, stop
