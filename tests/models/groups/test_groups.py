"""The cap on groups: who is in stays in, who has folded stays folded, sums hold, across restarts too."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import MINUTE_US, NEVER
from aftercall.vocabulary import OTHER
from models.groups.groups import MAX_SOURCES, Grouped, Groups, _nameless
from models.groups.naming import Caps, Folding
from models.groups.value_order import in_order
from models.messages import (
    NO_ERRORS,
    Attempts,
    ErrorTrials,
    Group,
    Values,
)
from suites.of_groups import changes


def trials(grouped: Grouped) -> Counter[Group]:
    """Trials of the minutes that closed, by group."""
    assert grouped.closed is not None
    counted: Counter[Group] = Counter()
    for code, count in zip(grouped.closed.trials.code, grouped.closed.trials.trial_successes, strict=True):
        counted[grouped.closed.names[code]] += int(count)
    return counted


A, B, LATER, FOREIGN = ("t", "a", "1"), ("t", "b", "1"), ("t", "c", "1"), ("u", "a", "1")
FOLDED, ALL_FOLDED = ("t", OTHER, OTHER), (OTHER, OTHER, OTHER)


@pytest.mark.parametrize("restarted", [False, True], ids=["running on", "restarted each time"])
def test_beyond_the_cap_new_groups_fold_and_stay_folded(*, restarted: bool) -> None:
    groups = Groups(1, Caps(2, 99, 99))
    seen: list[Grouped] = []
    for minute, names in enumerate([(A,), (A, B), (LATER, FOREIGN, A), (LATER, B, ("u", "b", "1")), (FOREIGN, A, B)]):
        if restarted:
            groups = Groups.from_state(groups.state(), 1, Caps(2, 99, 99))
        seen.append(groups.process(changes(minute, *names)))
    assert [trials(one) for one in seen] == [
        {A: 1},
        {A: 1, B: 1},
        {FOLDED: 1, ALL_FOLDED: 1, A: 1},
        {FOLDED: 1, B: 1, ALL_FOLDED: 1},
        {ALL_FOLDED: 1, A: 1, B: 1},
    ]
    assert [one.names for one in seen] == [
        [A],
        [A, B],
        [FOLDED, ALL_FOLDED, A],
        [FOLDED, B, ALL_FOLDED],
        [ALL_FOLDED, A, B],
    ]
    assert [one.folding for one in seen] == [[], [], [Folding(OTHER, LATER)], [], []]


def test_a_cap_that_is_reached_before_there_is_a_watermark_is_dated_by_its_calls() -> None:
    groups = Groups(2, Caps(1, 99, 99))
    first = groups.process(changes(130, A, LATER)._replace(watermark=NEVER))
    assert (first.folding, first.folded_at) == ([Folding(OTHER, LATER)], 120 * MINUTE_US)


def test_a_cap_that_was_raised_does_not_take_a_group_out_of_those_it_was_counted_with() -> None:
    groups = Groups(1, Caps(1, 99, 99))
    groups.process(changes(0, A, LATER))
    raised = Groups.from_state(groups.state(), 1, Caps(3, 99, 99))
    assert trials(raised.process(changes(1, A, LATER))) == {A: 1, FOLDED: 1}


def test_several_folded_groups_of_a_minute_are_summed() -> None:
    groups = Groups(1, Caps(1, 99, 99))
    found = groups.process(changes(0, A, *(("t", f"id-{n}", "1") for n in range(9))))
    assert trials(found) == {A: 1, FOLDED: 9}
    assert found.closed is not None
    assert len(found.closed.values.code) == 10


def test_a_source_is_free_text_so_beyond_a_number_they_are_one() -> None:
    """A source of the pipeline itself keeps its name, and sources kept apart stay so over a restart."""
    groups = Groups(1, Caps(9, 99, 99))
    counted: Counter[str] = Counter()
    for minute in range(MAX_SOURCES + 3):
        groups = Groups.from_state(groups.state(), 1, Caps(9, 99, 99))
        message = changes(minute, A, B)._replace(sources=("silence" if minute == MAX_SOURCES else f"run-{minute}",))
        closed = groups.process(message).closed
        assert closed is not None
        assert closed.slices.count.tolist() == closed.delays.count.tolist() == closed.scores.count.tolist() == [1, 1]
        counted.update(closed.sources)
    assert (counted["silence"], counted[OTHER], counted["run-0"], len(counted)) == (1, 2, 1, MAX_SOURCES + 2)


def test_errors_of_a_minute_are_summed_and_forgotten_once_it_has_closed() -> None:
    """Over shards, groups that fold, withdrawals and a restart; a minute still open keeps its own."""
    groups = Groups(2, Caps(1, 99, 99))
    names = [A, *(("t", f"id-{n}", "1") for n in range(3))]
    for shard, texts in (("00", ("timeout", "refused")), ("01", ("refused", "quota"))):
        code, minute, error, count = np.array(
            [(0, 5, 0, 2), (1, 5, 0, 1), (2, 5, 0, 1), (3, 5, 1, 1), (0, 6, 1, 1), (0, 5, 1, 1), (0, 4, 1, 1)], np.int32
        ).T
        gained = changes(4, *names, shard=shard)._replace(errors=texts, failed=ErrorTrials(code, minute, error, count))
        one = np.ones(1, np.int32)
        lost = gained._replace(failed=ErrorTrials(one - 1, one + 3, one, -one))
        for message in (gained, lost):
            groups = Groups.from_state(groups.state(), 2, Caps(1, 99, 99))
            groups.process(message._replace(watermark=4 * MINUTE_US))
    errors_by_minute = {}
    for until in (6, 7, 8):
        for shard in ("00", "01"):
            clock = changes(until, A, shard=shard)._replace(watermark=until * MINUTE_US, failed=NO_ERRORS)
            found = groups.process(clock)
        assert found.closed is not None
        closed, columns = found.closed, [column.tolist() for column in found.closed.failed]
        rows = [(m, closed.names[g], closed.errors[e], n) for g, m, e, n in zip(*columns, strict=True)]
        assert rows == sorted(rows)
        errors_by_minute[until] = rows
        groups = Groups.from_state(groups.state(), 2, Caps(1, 99, 99))
    assert errors_by_minute[6] == [
        (5, FOLDED, "quota", 1),
        (5, FOLDED, "refused", 3),
        (5, FOLDED, "timeout", 2),
        (5, A, "quota", 1),
        (5, A, "refused", 3),
        (5, A, "timeout", 2),
    ]
    assert errors_by_minute[7] == [(6, A, "quota", 1), (6, A, "refused", 1)]
    assert errors_by_minute[8] == []


@given(st.lists(st.tuples(st.integers(-2, 2), st.sampled_from([-(2**62), 0, 1, 2, 2**62])), max_size=30), st.randoms())
def test_values_leave_by_minute_time_and_key(places: list[tuple[int, int]], random: Random) -> None:
    """Also where many share an instant, and where minutes and times lie too far apart for one number."""
    rows = [(minute, at, key) for key, (minute, at) in enumerate(places)]
    random.shuffle(rows)
    minute, at, key = np.array(rows, np.int64).reshape(len(rows), 3).T
    none = np.zeros(len(rows))
    found = in_order(Values(none.astype(np.int32), minute.astype(np.int32), at, key.astype(np.uint64), none, none, at))
    assert list(zip(found.minute.tolist(), found.at.tolist(), found.key.tolist(), strict=True)) == sorted(rows)


def test_attempts_leave_with_their_minute_by_group_and_beyond_the_cap_by_task_type() -> None:
    groups = Groups(1, Caps(1, 10, 10))
    none = np.zeros(2, np.int32)
    for minute, count in ((100, 3), (101, 1)):
        at = none + minute
        tried = Attempts(np.arange(2, dtype=np.int32), at, at // 60, none + count)
        grouped = groups.process(changes(minute, A, B)._replace(attempts=tried))
        assert grouped.closed is not None
        found = zip(*(column.tolist() for column in grouped.closed.attempts), strict=True)
        assert [(grouped.closed.names[code], *rest) for code, *rest in found] == [
            (FOLDED, minute, 1, count),
            (A, minute, 1, count),
        ]


def test_the_keys_of_an_erased_call_and_of_its_attempts_are_forgotten() -> None:
    values = changes(100, A, B, LATER, FOREIGN).values
    values = values._replace(key=np.array([7, 7 + 1, 7 + 32, 7 + 33], np.uint64))
    assert _nameless(values, (7,)).key.tolist() == [0, 0, 0, 40]
    last = values._replace(key=np.array([2**64 - 1, 0, 31, 32], np.uint64))
    assert _nameless(last, (2**64 - 1,)).key.tolist() == [0, 0, 0, 32]
