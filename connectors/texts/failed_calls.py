"""Names calls that have failed by two words each, so that none of their ids is stored or held in memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np

from connectors.batch import U64, Bools
from connectors.texts.frames import ERASED, keys_of

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


def words_of(calls: Collection[tuple[str, int]]) -> U64:
    """Two words for each call, given by id and time: the hash of its id, which finds it at an erasure, and its time."""
    times = np.array([at for _, at in calls], np.int64).view(np.uint64)
    return np.column_stack((keys_of([call_id for call_id, _ in calls]), times)).ravel()


def marks_of(words: U64) -> U64:
    """One number for each call: two calls have the same one with odds of 1 : 2**64."""
    marks: U64 = words[::2] ^ (words[1::2] * _ODD)
    return marks


def are_in(marks: U64, ordered: U64) -> Bools:
    """Which of some numbers are among others, which are sorted."""
    found: Bools = np.searchsorted(ordered, marks, "left") < np.searchsorted(ordered, marks, "right")
    return found


def without(words: U64, keys: U64) -> U64:
    """The words with empty places for the calls whose ids have these hashes."""
    return np.where(np.repeat(np.isin(words[::2], keys), 2), np.uint64(ERASED), words)
