"""Decides which records of a batch take the fast path as columns, and which go one by one."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from aftercall.times import NEVER
from models.arrays import I32, I64, Bools
from models.sessions.members import SessionMembers
from models.sessions.records import SessionArrivals
from models.sessions.rules import SessionRules
from models.sessions.tables import LAST

_FAR: Final = 2**63 - 1


class Paths(NamedTuple):
    """Of the calls those that are taken in as columns and those that go one by one; of the outcomes the fast ones."""

    calls: Bools
    calls_one_by_one: Bools
    outcomes: Bools


class SessionsOf(NamedTuple):
    """The rows of the sessions of calls, and of outcomes."""

    calls: I32
    outcomes: I32


def sort_records(
    rules: SessionRules,
    members: SessionMembers,
    arrivals: SessionArrivals,
    rows: SessionsOf,
    closes: I64,
    simple: Bools,
) -> Paths:
    """Sort the records of a batch. O(n log n).

    Args:
        rules: of the step.
        members: the calls that are known.
        arrivals: the batch.
        rows: of its sessions.
        closes: when each call closes, or would have closed before it came.
        simple: which outcomes could take the fast path, as far as they themselves go.
    """
    spoken_of = members.sessions.is_spoken_of(rows.calls) | np.isin(rows.calls, rows.outcomes)
    _, place, new = np.unique(rows.calls, return_inverse=True, return_counts=True)
    is_full = members.counts(rows.calls) + new[place] > rules.most_calls
    is_open = closes >= arrivals.calls.wm
    known, odd = _known(members, arrivals, rows.calls, closes, is_full)
    # Of a session with too many calls, one goes that an outcome may be about.
    odd |= is_full & spoken_of
    disturbing = is_open & spoken_of & (odd | (~known & _disturbs(rules, members, arrivals, rows.calls)))
    slow = np.zeros(len(members.sessions.table.count), np.bool_)
    slow[rows.calls[disturbing]] = True
    slow[rows.outcomes[~simple]] = True
    slow |= members.sessions.table.is_packed
    irregular = np.isin(rows.calls, np.unique(rows.calls[odd]))
    one_by_one = is_open & irregular
    if (has_slow := slow[rows.calls]).any():
        one_by_one |= is_open & has_slow & _spoken_of(members, arrivals, rows)
    return Paths(is_open & ~one_by_one & ~known, one_by_one, ~slow[rows.outcomes])


def _known(
    members: SessionMembers, arrivals: SessionArrivals, rows: I32, closes: I64, is_full: Bools
) -> tuple[Bools, Bools]:
    """Which calls their sessions know by then, and which are odd: they come again after they have closed.

    Where a session gets too many calls, all that come again are odd: the first record may have gone by then.
    """
    calls = arrivals.calls
    mixed = calls.key ^ (rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    (is_open,) = (closes >= calls.wm).nonzero()
    _, first, place = np.unique(mixed[is_open], return_index=True, return_inverse=True)
    look, owner = is_open[first], is_open[first][place]
    ids = [calls.records[i].call_id for i in look.tolist()]
    found = members.calls_at(rows[look], calls.key[look], ids)
    known, odd = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    known[look], known[is_open[is_open != owner]] = found != LAST, True
    until = closes.copy()
    for i, row in zip(look[found != LAST].tolist(), found[found != LAST].tolist(), strict=True):
        until[i] = members.closes(row)
    odd[is_open] = until[owner] < calls.wm[is_open]
    for i, own in zip(is_open[is_open != owner].tolist(), owner[is_open != owner].tolist(), strict=True):
        same = rows[i] == rows[own] and calls.records[i].call_id == calls.records[own].call_id
        odd[i] |= is_full[i] or not same
    return known, odd


def _disturbs(rules: SessionRules, members: SessionMembers, arrivals: SessionArrivals, rows: I32) -> Bools:
    """Which calls may concern an outcome of their session otherwise than by being known when it is due.

    Something that was settled may have been about them; or they are so late that what is about them may have been due
    before they came.
    """
    calls = arrivals.calls
    disturbs: Bools = (calls.at <= members.sessions.table.settled_at[rows]) | (calls.at + rules.wait() < calls.wm)
    return disturbs


def _spoken_of(members: SessionMembers, arrivals: SessionArrivals, rows: SessionsOf) -> Bools:
    """Which calls something may be about that was said before they came.

    The others can be taken in first, whatever their place in the batch: no outcome is about a call after it.
    """
    calls, outcomes = arrivals.calls, arrivals.outcomes
    spoken_of: Bools = calls.at <= members.sessions.table.said_at[rows.calls]
    sessions, place = np.unique(rows.outcomes, return_inverse=True)
    if not len(sessions):
        return spoken_of
    latest, first = np.full(len(sessions), NEVER), np.full(len(sessions), _FAR)
    np.maximum.at(latest, place, outcomes.at)
    np.minimum.at(first, place, outcomes.pos)
    at: I64 = np.minimum(np.searchsorted(sessions, rows.calls), len(sessions) - 1)
    in_batch: Bools = (sessions[at] == rows.calls) & (calls.pos > first[at]) & (calls.at <= latest[at])
    spoken_of |= in_batch
    return spoken_of
