"""Judges the calls of the sessions of one shard by rules of contracts, each once (docs/decisions/0047).

A call is judged when the watermark has passed what it waits for, in the order of (time, id); one that comes later than
that, when it comes. What was found goes to the join, which drops what is about calls that it has not accepted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from xxhash import xxh3_64_intdigest

from aftercall.contracts.session_calls import SessionCourse, SessionTimes, are_of_one
from aftercall.times import DAY_US, MINUTE_US, NEVER
from models.messages import Group
from models.sessions.courses import FAR, Course, Courses, StoredCourses, WaitingCall
from models.sessions.records import JudgedInSession, SessionArrivals, SessionBook
from models.sessions.rules import SessionRules

_SPARE: Final = 16
_SWEEPS: Final = 64
"""So often within the longest hold, what is over leaves."""


class KnownCalls(Protocol):
    """The calls that the step of sessions knows."""

    def closes(self, session_id: str, session: int, call_id: str, key: int, at: int) -> int:
        """When a call of this id, that is known of the session, closes; NEVER where none is."""


class _Batch(NamedTuple):
    """One batch, and what comes of it.

    Attributes:
        arrivals: the records.
        known: the calls from before it.
        book: the rules.
        passed: watermarks, as in `SessionArrivals`.
        taken: by session and id, when calls of this batch close.
        found: what rules found.
    """

    arrivals: SessionArrivals
    known: KnownCalls
    book: SessionBook
    passed: list[int]
    taken: dict[tuple[str, str], int]
    found: list[JudgedInSession]


class _Moment(NamedTuple):
    """When a call is judged.

    Attributes:
        passed: a call that closes there or later is still open, us.
        now: when it was due, or came if that is later, us.
    """

    passed: int
    now: int


def times_of(rules: SessionRules) -> SessionTimes:
    """When calls of sessions are judged."""
    return SessionTimes(rules.wait(), rules.hold())


class SessionChecks:
    """The rules over sessions in one shard. `process` takes each batch before the step of sessions does."""

    def __init__(self, book: SessionBook | None, rules: SessionRules, most: int) -> None:
        """Remember nothing; so many sessions may be remembered after a batch.

        Without `book` nothing is judged, and what is remembered stays: a stopped run is erased without contracts.
        """
        self._book, self._rules, self._most = book, rules, most
        self._times = times_of(rules)
        self._courses = Courses()
        self._instants: list[tuple[int, str]] = []
        """When the first waiting call of each session is due; others are left from before."""
        self._swept_at = NEVER

    @property
    def waits(self) -> bool:
        """Whether there is something that the end of all partitions may bring."""
        return self._book is not None and bool(self._courses.active)

    @property
    def idle_until(self) -> int:
        """Up to this watermark, a batch without records leads to nothing, unless all partitions are at their end."""
        return self._instants[0][0] if self._instants and self._book is not None else FAR

    @property
    def unstored(self) -> int:
        """How many sessions the next `changes` has."""
        return self._courses.unstored

    def process(self, arrivals: SessionArrivals, known: KnownCalls) -> tuple[JudgedInSession, ...]:
        """Take in the calls of a batch; what was found of those that are judged with it.

        O(n log n) for n calls; a look-up in `known` for each call of a group that there are rules for.
        """
        if self._book is None:
            return ()
        batch = _Batch(arrivals, known, self._book, arrivals.passed.tolist(), {}, [])
        may = np.array([self._book.may_judge(group) for group in arrivals.groups], np.bool_)
        for i in np.flatnonzero(may[arrivals.calls.task]).tolist() if may.any() else ():
            self._call(batch, i)
        self._advance(batch)
        self._sweep(arrivals.watermark)
        self._make_room(batch)
        return tuple(batch.found)

    # Calls

    def _call(self, batch: _Batch, i: int) -> None:
        calls, record = batch.arrivals.calls, batch.arrivals.calls.records[i]
        at, wm = calls.at.item(i), calls.wm.item(i)
        group = batch.arrivals.groups[calls.task[i]]
        course = self._courses.active.get(record.session_id)
        if course is not None:
            self._judge_due(batch, record.session_id, course, wm)
            if (first := course.waiting.get(record.call_id)) is not None:
                self._complete(batch.book, first, record, group, at)
                return
        closes = at + self._rules.horizon(group[0]) + self._rules.allowed_lateness_us
        if closes < wm or self._is_known(batch, i, closes, wm):
            return
        due, identity = self._times.due_us(at, closes), _identity(record, group)
        excerpt = batch.book.excerpt(record, group)
        call = WaitingCall(due, at, record.call_id, calls.key.item(i), group, identity, excerpt)
        self._take_in(batch, record.session_id, calls.session.item(i), call, wm)

    def _is_known(self, batch: _Batch, i: int, closes: int, wm: int) -> bool:
        """Whether a record is a second one of its call."""
        calls, record = batch.arrivals.calls, batch.arrivals.calls.records[i]
        place = record.session_id, record.call_id
        known = batch.taken.get(place, NEVER)
        if known == NEVER or known < wm:
            key, session = calls.key.item(i), calls.session.item(i)
            known = batch.known.closes(record.session_id, session, record.call_id, key, calls.at.item(i))
        is_known = known != NEVER and known >= wm
        if not is_known:
            batch.taken[place] = closes
        return is_known

    def _take_in(self, batch: _Batch, session_id: str, session: int, call: WaitingCall, wm: int) -> None:
        course = self._courses.of(session_id, session)
        if call.due < wm:
            self._judge(batch, course, call, wm // MINUTE_US, _Moment(wm, wm))
            self._courses.rest(session_id)
            return
        before = course.next
        course.add(call)
        if course.next < before:
            heappush(self._instants, (course.next, session_id))

    def _complete(self, book: SessionBook, first: WaitingCall, record: Any, group: Group, at: int) -> None:
        """What a second record adds; one of later than the call is due adds nothing, whenever it comes."""
        is_same = are_of_one(first.identity, _identity(record, group)) and abs(at - first.at) <= DAY_US
        if is_same and at <= first.due:
            self._courses.touch(record.session_id)
            book.fill(first.excerpt, book.excerpt(record, group))

    # Judging

    def _advance(self, batch: _Batch) -> None:
        """Judge what the watermark has passed; at the end of all partitions, all that waits."""
        watermark = batch.arrivals.watermark
        while self._instants and self._instants[0][0] < watermark:
            instant, session_id = heappop(self._instants)
            course = self._courses.active.get(session_id)
            if course is not None and course.next == instant:
                self._judge_due(batch, session_id, course, watermark)
        if batch.arrivals.ended:
            for session_id in sorted(self._courses.active):
                self._judge_all(batch, session_id)
            self._instants = []

    def _judge_due(self, batch: _Batch, session_id: str, course: Course, wm: int) -> None:
        """Judge what was due before `wm`, as of the first watermark after that."""
        due = course.take(wm)
        if not due:
            return
        for call in due:
            first = batch.passed[bisect_right(batch.passed, call.due)]
            self._judge(batch, course, call, first // MINUTE_US, _Moment(call.due, call.due))
        self._leave(session_id, course)

    def _judge_all(self, batch: _Batch, session_id: str) -> None:
        course, watermark = self._courses.active[session_id], batch.arrivals.watermark
        for call in course.take(FAR):
            self._judge(batch, course, call, watermark // MINUTE_US, _Moment(watermark, call.due))
        self._leave(session_id, course)

    def _leave(self, session_id: str, course: Course) -> None:
        self._courses.touch(session_id)
        if course.waiting:
            heappush(self._instants, (course.next, session_id))
        else:
            self._courses.rest(session_id)

    def _judge(self, batch: _Batch, course: Course, call: WaitingCall, minute: int, moment: _Moment) -> None:
        minute = max(minute, call.at // MINUTE_US)
        named = call.key, call.call_id, course.session, call.group, call.at, minute, moment.passed
        for found in batch.book.judge(course.values, call.group, call.excerpt, call.at, moment.now):
            batch.found.append(JudgedInSession(*named, found))

    # Forgetting

    def _sweep(self, watermark: int) -> None:
        """Now and then, forget sessions that begin from nothing. O(sessions)."""
        if watermark < self._swept_at + max(MINUTE_US, self._rules.hold() // _SWEEPS):
            return
        self._swept_at = watermark
        for session_id in self._courses.over(watermark - self._times.forget_us):
            self._courses.drop(session_id)

    def _make_room(self, batch: _Batch) -> None:
        """Where there are too many sessions, judge what waits in the oldest, and forget these."""
        excess = len(self._courses) - self._most
        if excess <= 0:
            return
        for session_id in self._courses.oldest(excess + self._most // _SPARE):
            if session_id in self._courses.active:
                self._judge_all(batch, session_id)
            self._courses.drop(session_id)

    # Erasure

    def erase(self, session_id: str) -> None:
        """Forget a session; its calls that wait are never judged."""
        self._courses.drop(session_id)

    def erase_call(self, call_id: str, sessions: Iterable[str]) -> None:
        """Forget a call of some sessions, and what calls of these were given; sums stay, of calls unnamed."""
        waiting = (one for one, course in self._courses.active.items() if call_id in course.waiting)
        for session_id in sorted({*waiting, *sessions}):
            course = self._courses.known(session_id)
            if course is not None:
                course.remove(call_id)
                SessionCourse(course.values).forget_requests()
                self._leave(session_id, course)

    # State

    def state(self) -> StoredCourses:
        """All of it as plain values. Changes count from here on."""
        return self._courses.state() | {"swept_at": self._swept_at}

    def changes(self) -> StoredCourses:
        """What has changed since the last of both, for `merged_courses`."""
        return self._courses.changes() | {"swept_at": self._swept_at}

    def restore(self, state: StoredCourses) -> None:
        """Go on from `state`."""
        self._courses, self._swept_at = Courses.from_state(state), state["swept_at"]
        self._instants = [(course.next, one) for one, course in self._courses.active.items()]
        heapify(self._instants)


def _identity(record: Any, group: Group) -> tuple[Any, ...]:
    """What two records of one call have in common; of texts only a hash."""
    error = 0 if record.error is None else xxh3_64_intdigest(record.error.encode())
    return (group, record.segment, error)
