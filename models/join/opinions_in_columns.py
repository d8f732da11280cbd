"""Reads ledgers of several voices, editions, abstentions, combined and required sources: functions of columns.

The rules are those of `models.join.opinions`, which reads one ledger statement by statement, and of which decision 0020
has the reasons. Here statements assert or abstain, and nothing is withdrawn: of each voice the newest statement stands,
which is the newest edition of its id. Of a source whose newest opinion counts one voice may abstain only if it is the
only one. Neither a source that is required nor one outside the precedence is combined; the latter does not abstain.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from aftercall.times import NEVER
from models.arrays import F64, I8, I32, I64, Bools
from models.columns.group_sums import stable_order
from models.join.ledgers_in_columns import newest_of_voices

HOW: Final = ("newest", "majority", "all", "any")
"""How the opinions of the voices of a source are made one; a column has the place in this."""
NEWEST: Final = 0
_NONE = -1


class Said(NamedTuple):
    """Statements in the order of their ledgers, those of one call one after the other.

    Attributes:
        call: place of the call, ascending.
        at: us.
        success: -1 abstains.
        source: by any code.
        author: by any code.
        rank: of the source in the precedence; those outside share `outside`.
        combine: how its voices are combined.
        required: place of the source among those that its call requires, -1 where it does not.
        requires: how many sources its call requires.
        outside: greater than any rank in a precedence.
    """

    call: I64
    at: I64
    success: I8
    source: I32
    author: I32
    rank: I32
    combine: I8
    required: I32
    requires: I32
    outside: int


class After(NamedTuple):
    """The verdict after each of some statements.

    Attributes:
        success: -1 pending.
        by: the newest statement of the source that decides, as a place in `Said`; -1 while pending.
        decided_at: since when it is so, where statements come in the order of the ledgers; NEVER while pending.
    """

    success: I8
    by: I64
    decided_at: I64


class SourceOpinions(NamedTuple):
    """What the source of each statement says after it: -1 nothing, by its newest statement, and since when."""

    success: I8
    newest: I64
    since: I64


def follow(said: Said, order: I64) -> After:
    """The verdicts as statements are added in an `order` of places, those of one call one after the other."""
    call = said.call[order]
    first = _first_of(call)
    found = opinions(said, order)
    rest = _rest(said, order, found, first)
    requires = said.requires[order]
    return _with_required(said, order, found, first, rest) if requires.any() else rest


def combined(said: Said, by: I64, success: I8) -> tuple[I64, F64]:
    """Of verdicts by combined sources: the newest statement that agrees, and the share of success. O(n log n).

    Args:
        said: whole ledgers.
        by: per verdict, any statement of its source.
        success: the verdict.
    """
    by_source, number = _numbered(said.call, said.source)
    source = np.empty(len(number), np.int64)
    source[by_source] = number
    stands = newest_of_voices(said.call, said.source, said.author)
    count = int(number[-1]) + 1
    good, bad = (np.bincount(source[stands & (said.success == what)], minlength=count) for what in (1, 0))
    newest = np.full((2, count), _NONE, np.int64)
    (voting,) = (stands & (said.success >= 0)).nonzero()
    np.maximum.at(newest, (said.success[voting].astype(np.int64), source[voting]), voting)
    return newest[success.astype(np.int64), source[by]], good[source[by]] / (good + bad)[source[by]]


def opinions(said: Said, order: I64) -> SourceOpinions:
    """What the source of each statement says after it, in an `order` of places as in `follow`. O(n log n)."""
    call, source = said.call[order], said.source[order]
    by_source, number = _numbered(call, source)
    places, first = order[by_source], _first_of(number)
    newest = _running_max(first, places)
    success, since = said.success[newest], said.at[newest]
    combine = said.combine[places]
    if combine.any():
        good, bad = (_sums(said, order, by_source, first, what) for what in (1, 0))
        made = _combine(combine, good, bad)
        changed = np.ones(len(made), np.bool_)
        changed[1:] = made[1:] != made[:-1]
        changed[first] = made[first] != _NONE
        turn = _running_max(first, np.where(changed, np.arange(len(made)), _NONE))
        among = combine != NEWEST
        success = np.where(among, made, success).astype(np.int8)
        since = np.where(among, said.at[places[np.maximum(turn, 0)]], since)
    back = np.empty_like(by_source)
    back[by_source] = np.arange(len(back))
    return SourceOpinions(success[back], newest[back], since[back])


def newest_so_far(number: I64, order: I64) -> I64:
    """The latest place in the ledgers so far, in an `order` of places; `number`: of call and source, in runs."""
    return _running_max(_first_of(number), order)


def _sums(said: Said, order: I64, by_source: I64, first: Bools, what: int) -> I64:
    """How many voices of the source say `what` after each statement; in the order of `by_source`."""
    by_voice = stable_order((said.call[order], said.source[order], said.author[order]))
    places = order[by_voice]
    keys = (said.call[places], said.source[places], said.author[places])
    begins = np.ones(len(places), np.bool_)
    begins[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    says = (said.success[_running_max(begins, places)] == what).astype(np.int64)
    change = says.copy()
    change[1:] -= np.where(begins[1:], 0, says[:-1])
    changes = np.empty(len(order), np.int64)
    changes[by_voice] = change
    return _running_sum(first, changes[by_source])


def _combine(combine: I8, good: I64, bad: I64) -> I8:
    """What sources say, given how many of their voices say success and failure."""
    majority = np.where(good == bad, _NONE, good > bad)
    unanimous = np.where(bad > 0, 0, np.where(good > 0, 1, _NONE))
    one = np.where(good > 0, 1, np.where(bad > 0, 0, _NONE))
    return np.choose(combine, (unanimous, majority, unanimous, one)).astype(np.int8)


def _rest(said: Said, order: I64, found: SourceOpinions, first: Bools) -> After:
    """What the sources say that are not required: the first of the precedence, else the newest."""
    rank, free = said.rank[order], said.required[order] < 0
    by = _running_max(first, np.where(free & (rank == said.outside), order, _NONE))
    success = np.where(by >= 0, said.success[by], _NONE).astype(np.int8)
    since = np.where(by >= 0, said.at[by], NEVER)
    for one in np.unique(rank[free & (rank < said.outside)])[::-1].tolist():
        last = _latest(free & (rank == one), first)
        speaks = (last >= 0) & (found.success[last] >= 0)
        success[speaks], by[speaks] = found.success[last[speaks]], found.newest[last[speaks]]
        since[speaks] = found.since[last[speaks]]
    return After(success, by, since)


def _with_required(said: Said, order: I64, found: SourceOpinions, first: Bools, rest: After) -> After:
    """The verdict where sources are required; that of the rest where none are."""
    required, requires = said.required[order], said.requires[order]
    count, since = np.zeros(len(order), np.int32), np.full(len(order), NEVER)
    failing, good = np.full(len(order), _NONE, np.int64), np.full(len(order), _NONE, np.int64)
    for one in range(int(required.max()) + 1):
        last = _latest(required == one, first)
        says = np.where(last >= 0, found.success[last], _NONE)
        newest = found.newest[last]
        failing = np.maximum(failing, np.where(says == 0, newest, _NONE))
        good = np.maximum(good, np.where(says == 1, newest, _NONE))
        since = np.maximum(since, np.where(says == 1, found.since[last], NEVER))
        count += says == 1
    some, complete = requires > 0, count == requires
    fails = some & (failing >= 0)
    passes = some & ~fails & complete & (rest.success != 0)
    pending = some & ~fails & ~passes & (rest.success != 0)
    alone = passes & (rest.success < 0)
    success = np.where(fails, 0, np.where(passes, 1, np.where(pending, _NONE, rest.success))).astype(np.int8)
    by = np.where(fails, failing, np.where(alone, good, np.where(pending, _NONE, rest.by)))
    decided = np.where(passes, np.maximum(since, rest.decided_at), rest.decided_at)
    decided = np.where(fails, said.at[failing], np.where(pending, NEVER, decided))
    return After(success, by, decided)


def _numbered(call: I64, source: I32) -> tuple[I64, I64]:
    """An order by (call, source), and in it the number of each such pair."""
    order = stable_order((call, source))
    changed = np.zeros(len(order), np.bool_)
    ordered_call, ordered_source = call[order], source[order]
    changed[1:] = (ordered_call[1:] != ordered_call[:-1]) | (ordered_source[1:] != ordered_source[:-1])
    return order, np.cumsum(changed)


def _first_of(number: I64) -> Bools:
    first = np.ones(len(number), np.bool_)
    np.not_equal(number[1:], number[:-1], out=first[1:])
    return first


def _running_max(first: Bools, value: I64) -> I64:
    """The greatest value so far, -1 or more, within runs that begin at `first`."""
    span = int(value.max(initial=0)) + 2
    base = np.cumsum(first) * span + 1
    greatest: I64 = np.maximum.accumulate(value + base) - base
    return greatest


def _running_sum(first: Bools, value: I64) -> I64:
    """The sum so far, within runs that begin at `first`."""
    sums = np.cumsum(value)
    start = np.maximum.accumulate(np.where(first, np.arange(len(value)), 0))
    found: I64 = sums - (sums[start] - value[start])
    return found


def _latest(mask: Bools, first: Bools) -> I64:
    """The latest place so far where `mask` holds, within runs that begin at `first`; -1 where there is none."""
    return _running_max(first, np.where(mask, np.arange(len(mask)), _NONE))
