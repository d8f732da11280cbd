"""Keeps what rules over sessions remember of the sessions of one shard, and the calls that wait to be judged.

A session of which no call waits lies packed, in a few hundred bytes: its objects would take ten times the room.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgpack

from aftercall.times import NEVER
from models.messages import Group

StoredCourses = dict[str, Any]
FAR: Final = 2**63 - 1
"""After all instants."""


class WaitingCall(NamedTuple):
    """A call that is not judged yet.

    Attributes:
        due: once the watermark has passed this, us.
        at: its time, us.
        call_id: its id.
        key: xxh3_64 of the id.
        group: what it counts for.
        identity: what another record of it must equal.
        excerpt: what rules read of it; later records fill in what it lacks.
    """

    due: int
    at: int
    call_id: str
    key: int
    group: Group
    identity: tuple[Any, ...]
    excerpt: dict[str, Any]


class Course:
    """One session: what rules remember of it, plain values, and its calls that wait, by id."""

    __slots__ = ("next", "session", "values", "waiting")

    def __init__(self, session: int, values: dict[str, Any]) -> None:
        """`session`: xxh3_64 of its id."""
        self.session, self.values = session, values
        self.waiting: dict[str, WaitingCall] = {}
        self.next = FAR
        """When the first of these is due."""

    @property
    def last(self) -> int:
        """The time of the newest call that was judged or waits."""
        waiting = (one.at for one in self.waiting.values())
        judged: int = self.values.get("last", NEVER)
        return max(judged, *waiting) if self.waiting else judged

    def add(self, call: WaitingCall) -> None:
        """Let a call wait."""
        self.waiting[call.call_id] = call
        self.next = min(self.next, call.due)

    def take(self, until: int) -> list[WaitingCall]:
        """The calls that were due before `until`, in order; they wait no longer. O(1) where none was."""
        if self.next >= until:
            return []
        due = sorted(one for one in self.waiting.values() if one.due < until)
        for one in due:
            del self.waiting[one.call_id]
        self.next = min((one.due for one in self.waiting.values()), default=FAR)
        return due

    def remove(self, call_id: str) -> None:
        """Let a call wait no longer, if it does."""
        if self.waiting.pop(call_id, None):
            self.next = min((one.due for one in self.waiting.values()), default=FAR)


class _Packed(NamedTuple):
    """A session as it is stored."""

    last: int
    session: int
    values: bytes
    waiting: bytes


class Courses:
    """The sessions of one shard by id."""

    def __init__(self) -> None:
        self.active: dict[str, Course] = {}
        """Those in which a call waits."""
        self._resting: dict[str, _Packed] = {}
        self._touched = set[str]()

    def __len__(self) -> int:
        """How many sessions are known."""
        return len(self.active) + len(self._resting)

    @property
    def unstored(self) -> int:
        """How many sessions the next `changes` has."""
        return len(self._touched)

    def of(self, session_id: str, session: int) -> Course:
        """A session, which is active from here on; `session`: xxh3_64 of its id."""
        self.touch(session_id)
        course = self.active.get(session_id)
        if course is None:
            packed = self._resting.pop(session_id, None)
            course = Course(session, {}) if packed is None else _unpacked(packed)
            self.active[session_id] = course
        return course

    def touch(self, session_id: str) -> None:
        """A session has changed."""
        self._touched.add(session_id)

    def rest(self, session_id: str) -> None:
        """Pack a session in which no call waits; forget one that has nothing to remember."""
        course = self.active.get(session_id)
        if course is not None and not course.waiting:
            del self.active[session_id]
            if course.values:
                self._resting[session_id] = _packed(course)

    def known(self, session_id: str) -> Course | None:
        """A session as `of` gives it, if it is known."""
        if session_id in self.active or session_id in self._resting:
            return self.of(session_id, 0)
        return None

    def drop(self, session_id: str) -> None:
        """Forget a session."""
        if self.active.pop(session_id, None) or self._resting.pop(session_id, None):
            self.touch(session_id)

    def over(self, instant: int) -> list[str]:
        """The sessions without a call since `instant`. O(sessions)."""
        return [one for one, packed in self._resting.items() if packed.last < instant]

    def oldest(self, count: int) -> list[str]:
        """The sessions whose newest call is oldest; ties by id. O(n log n)."""
        return [session_id for _, session_id in sorted(self._by_last())[:count]]

    def _by_last(self) -> Iterator[tuple[int, str]]:
        yield from ((packed.last, one) for one, packed in self._resting.items())
        yield from ((course.last, one) for one, course in self.active.items())

    # State

    def state(self) -> StoredCourses:
        """All of them as plain values. Changes count from here on."""
        self._touched.clear()
        return {"whole": True, "courses": {**self._resting, **{one: _packed(of) for one, of in self.active.items()}}}

    def changes(self) -> StoredCourses:
        """Those that have changed since the last of both; None of those that are gone."""
        touched, self._touched = sorted(self._touched), set()
        return {"whole": False, "courses": {one: self._stored(one) for one in touched}}

    def _stored(self, session_id: str) -> _Packed | None:
        course = self.active.get(session_id)
        return self._resting.get(session_id) if course is None else _packed(course)

    @classmethod
    def from_state(cls, state: StoredCourses) -> Courses:
        """Read `state`."""
        courses = cls()
        for session_id, stored in state["courses"].items():
            packed = _Packed(*stored)
            if packed.waiting:
                courses.active[session_id] = _unpacked(packed)
            else:
                courses._resting[session_id] = packed
        return courses


def merged_courses(parts: list[StoredCourses | None]) -> StoredCourses | None:
    """The state after changes; None stands for a part of a run without rules over sessions, which forgets them."""
    merged: dict[str, Any] = {}
    for part in parts:
        if part is None or part["whole"]:
            merged = {}
        merged |= {} if part is None else part["courses"]
    if parts[-1] is None:
        return None
    return {"whole": True, "courses": {one: stored for one, stored in merged.items() if stored is not None}}


def _packed(course: Course) -> _Packed:
    waiting = _bytes([tuple(one) for one in course.waiting.values()]) if course.waiting else b""
    return _Packed(course.last, course.session, _bytes(course.values), waiting)


def _unpacked(packed: _Packed) -> Course:
    course = Course(packed.session, _read(packed.values))
    for one in _read(packed.waiting) if packed.waiting else ():
        course.add(WaitingCall(*one))
    return course


def _bytes(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def _read(packed: bytes) -> Any:
    """The value that `_bytes` was given, with tuples for lists."""
    return msgpack.unpackb(packed, use_list=False)
