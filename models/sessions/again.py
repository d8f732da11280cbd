"""Finds outcomes that come again word for word while all of their session lies in columns: they change nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from models.arrays import U64, Bools
from models.sessions.lone import NO_TEXTS, LoneOutcomes
from models.sessions.records import SessionArrivals
from models.sessions.rules import SessionRules


class Again(NamedTuple):
    """Of the outcomes of a batch: which have an id that is there already, and which of these repeat its record."""

    known: Bools
    repeats: Bools


def again(
    rules: SessionRules, lone: LoneOutcomes, arrivals: SessionArrivals, keys: U64, ids: list[str], asserts: Bools
) -> Again:
    """Look at outcomes whose key comes twice, or is taken. O(n log n), and some microseconds for each of these.

    Args:
        rules: of the step.
        lone: those that are there.
        arrivals: the batch.
        keys: of its outcomes.
        ids: likewise.
        asserts: which of them may lie in columns, as far as they themselves go; others repeat none.
    """
    outcomes = arrivals.outcomes
    rows = lone.rows_of_keys(keys)
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    owner = first[place]
    known: Bools = (rows >= 0) | (owner != np.arange(len(keys)))
    repeats = np.zeros(len(keys), np.bool_)
    for i in np.flatnonzero(known & asserts & ((rows >= 0) | asserts[owner])).tolist():
        row = rows.item(i)
        before = _in_batch(arrivals, ids, owner.item(i)) if row < 0 else _in_table(lone, row)
        # Until the first is due it waits; then it may be refused, and its id be free.
        waits = row < 0 or lone.table.columns.waits.item(row)
        until = outcomes.at.item(i) + (rules.wait() if waits else rules.hold())
        repeats[i] = before == _in_batch(arrivals, ids, i) and until >= outcomes.wm.item(i)
    return Again(known, repeats)


def _in_batch(arrivals: SessionArrivals, ids: list[str], i: int) -> tuple[Any, ...]:
    """The id and the deciding fields of an outcome that has come."""
    outcomes = arrivals.outcomes
    source, score = arrivals.sources[outcomes.source.item(i)], outcomes.score.item(i)
    said = outcomes.success.item(i), None if score != score else score  # noqa: PLR0124 (nan: absent)
    return ids[i], outcomes.at.item(i), source, outcomes.records[i].author, *said


def _in_table(lone: LoneOutcomes, row: int) -> tuple[Any, ...]:
    """The same of one that is there."""
    c, score = lone.table.columns, lone.table.columns.score.item(row)
    said = c.given.item(row), None if score != score else score  # noqa: PLR0124 (nan: absent)
    author = lone.texts.get(row, NO_TEXTS).author
    return lone.table.ids.get(row), c.at.item(row), lone.sources.names[c.source.item(row)], author, *said
