"""The tables of sessions and their calls: many calls, ids of one hash, what is forgotten, and what they take."""

from __future__ import annotations

import tracemalloc
import uuid
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import plain
from models.sessions.members import MOST_IN_A_CHAIN, SessionMembers
from models.sessions.tables import LAST, CallSpan, NewCalls
from oracle.session_direct import hash_of, words_of

HOMONYMS = ("tH9qYN2r", "[Pph)%Z")
"""Two ids of one hash."""
SPAN = CallSpan(100, 10, 200)


def taken_in(members: SessionMembers, session: int, calls: list[tuple[int, str, str | None]]) -> None:
    """Add (time, id, parent) to a session."""
    ids = [call_id for _, call_id, _ in calls]
    members.add(
        NewCalls(
            np.full(len(calls), session, np.int32),
            np.array([hash_of(call_id) for call_id in ids], np.uint64),
            np.array([at for at, _, _ in calls], np.int64),
            np.full(len(calls), members.span_code(SPAN), np.uint8),
            np.array([words_of(call_id) for call_id in ids], np.uint64).reshape(-1, 2),
            ids,
            [parent for _, _, parent in calls],
        )
    )


def session_of(members: SessionMembers, *ids: str) -> list[int]:
    """The rows of sessions."""
    return list(map(int, members.sessions.rows_of(list(ids), np.array([hash_of(one) for one in ids], np.uint64))))


def restored_from(members: SessionMembers, seed: int) -> SessionMembers:
    """The same tables from what is stored of them."""
    rows = members.sessions.rows()
    state = {**members.sessions.state_of(rows), **members.state_of(members.rows_stored(rows), rows)}
    restored = SessionMembers(seed)
    stored = plain.unpack(plain.pack(state))
    restored.restore(stored, restored.sessions.restore(stored))
    return restored


def known(members: SessionMembers, session: int, at: int = 150) -> list[tuple[int, str, str | None]]:
    """What a session has up to a time."""
    return [(one.at, one.call_id, one.parent) for one in members.candidates(session, at, 0)]


@pytest.mark.parametrize("count", [1, 3, MOST_IN_A_CHAIN, MOST_IN_A_CHAIN + 1, 200])
def test_calls_come_in_order_however_many_there_are_and_whichever_came_first(count: int) -> None:
    members, calls = SessionMembers(1), [(at, f"c{at}", f"c{at - 1}" if at % 2 else None) for at in range(count)]
    one, other = session_of(members, "s", "t")
    Random(1).shuffle(calls)
    for start in range(0, count, 7):
        taken_in(members, one, calls[start : start + 7])
    taken_in(members, other, [(5, "c5", None)])
    assert known(members, one, 199) == sorted(calls)
    assert [members.call_at(one, call_id, hash_of(call_id)) != LAST for call_id in ("c0", "d")] == [True, False]
    assert known(members, other) == [(5, "c5", None)]


def test_sessions_and_calls_of_one_hash_are_not_mixed_up() -> None:
    members = SessionMembers(1)
    one, other = session_of(members, *HOMONYMS)
    assert (hash_of(HOMONYMS[0]), one != other) == (hash_of(HOMONYMS[1]), True)
    taken_in(members, one, [(1, HOMONYMS[0], None), (2, HOMONYMS[1], None)])
    taken_in(members, other, [(3, HOMONYMS[1], None)])
    restored = restored_from(members, 2)
    for each in (members, restored):
        assert session_of(each, *HOMONYMS) == [each.sessions.find(one, hash_of(one)) for one in HOMONYMS]
        first, second = session_of(each, *reversed(HOMONYMS))[::-1]
        assert known(each, first) == [(1, HOMONYMS[0], None), (2, HOMONYMS[1], None)]
        assert known(each, second) == [(3, HOMONYMS[1], None)]
        row = each.call_at(first, HOMONYMS[1], hash_of(HOMONYMS[1]))
        assert row != each.call_at(first, HOMONYMS[0], hash_of(HOMONYMS[0]))
    assert len(restored.sessions) == len(members.sessions) == 2


def test_a_session_that_lost_its_namesake_is_still_found() -> None:
    members = SessionMembers(1)
    one, other = session_of(members, *HOMONYMS)
    taken_in(members, other, [(3, "c", None)])
    members.drop(np.array([one], np.int32))
    assert members.sessions.find(HOMONYMS[0], hash_of(HOMONYMS[0])) == -1
    assert known(members, session_of(members, HOMONYMS[1])[0]) == [(3, "c", None)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400), st.integers(0, 99)), max_size=150), st.booleans())
def test_what_is_over_is_forgotten_and_the_rest_stays(entries: list[tuple[int, int, int]], restore: bool) -> None:  # noqa: FBT001
    members, expected = SessionMembers(1), dict[tuple[str, str], int]()
    for number, at, name in entries:
        expected.setdefault((f"s{number}", f"c{name}"), at)
    for (session, call_id), at in expected.items():
        taken_in(members, session_of(members, session)[0], [(at, call_id, None)])
    members.prune(300)
    members.drop(members.sessions.over(300))
    if restore:
        members = restored_from(members, 3)
    kept = {key: at for key, at in expected.items() if at + 210 >= 300}
    assert len(members.sessions) == len({session for session, _ in kept})
    for session in {session for session, _ in kept}:
        row = members.sessions.find(session, hash_of(session))
        found = [one for at in range(0, 401, 100) for one in members.candidates(row, at, 0)]
        assert {(session, one.call_id) for one in found} == {key for key in kept if key[0] == session}


@pytest.mark.parametrize("count", [5, 100])
def test_a_call_can_be_taken_out(count: int) -> None:
    members = SessionMembers(1)
    (row,) = session_of(members, "s")
    taken_in(members, row, [(at, f"c{at}", None) for at in range(count)])
    members.remove(row, members.call_at(row, "c2", hash_of("c2")))
    assert [one for one in range(count) if (one, f"c{one}", None) not in known(members, row)] == [2]
    assert members.keeps(members.oldest(row, count - 2)) == 210
    assert members.oldest(row, count - 1) == LAST


@pytest.mark.slow
@pytest.mark.parametrize(("calls", "most"), [(1, 150), (5, 95)])
def test_a_call_of_a_session_takes_less_than_150_bytes(calls: int, most: int) -> None:
    draw, count = Random(1), 40_000
    ids = [str(uuid.UUID(int=draw.getrandbits(128))) for _ in range(count + count // calls)]
    tracemalloc.start()
    members = SessionMembers(1)
    for start in range(0, count // calls, 1000):
        names = ids[count + start : count + start + min(1000, count // calls)]
        rows = session_of(members, *names)
        for at in range(calls):
            part = ids[(start * calls) + at * len(rows) : (start * calls) + (at + 1) * len(rows)]
            span = np.full(len(rows), members.span_code(SPAN), np.uint8)
            words = np.array([words_of(one) for one in part], np.uint64)
            keys = np.array([hash_of(one) for one in part], np.uint64)
            sessions = np.array(rows, np.int32)
            none: list[str | None] = [None for _ in rows]
            members.add(NewCalls(sessions, keys, np.full(len(rows), at, np.int64), span, words, part, none))
    del names, part, keys, words, rows, sessions
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(members.sessions) == count // calls
    assert taken / count < most
