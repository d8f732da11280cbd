"""The session step where the oracle has no say: its bound, erasure, what it stores, and what it asks of its tables."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models import plain
from models.sessions import SessionRules, Sessions
from models.sessions.records import Resolved
from oracle.records import Call, Outcome
from oracle.session import Said
from oracle.session_direct import arrivals, hash_of

MINUTE = 60_000_000
T = 1_000_000 * MINUTE
RULES = SessionRules(horizon_us=60 * MINUTE, allowed_lateness_us=10 * MINUTE, orphan_wait_us=30 * MINUTE)


def call(session: str, at: int, call_id: str = "") -> Call:
    """A call, `at` minutes after T."""
    return Call(call_id or f"{session}-{at}", T + at * MINUTE, session_id=session)


def thumb(session: str, at: int, outcome_id: str = "u", scope: str = "last") -> Said:
    """A vote, `at` minutes after T."""
    return Said(session, Outcome(outcome_id, "", T + at * MINUTE, success=True), scope)


def fed(sessions: Sessions, records: list[Any], at: int = 0, *, ended: bool = False) -> Resolved:
    """Process records at a watermark of so many minutes after T."""
    wm = T + at * MINUTE
    return sessions.process(arrivals([(pos, one, wm) for pos, one in enumerate(records)], wm, ended=ended))


def reached(resolved: Resolved) -> list[tuple[str, str]]:
    """(outcome, call) of what left."""
    return sorted((one.outcome_id, one.call_id) for one in resolved.statements)


def test_beyond_the_bound_those_that_would_be_forgotten_first_go_and_what_waits_in_them_is_an_orphan() -> None:
    sessions = Sessions(RULES, most=32)
    fed(sessions, [thumb("first", 0), *(call(f"s{at}", at) for at in range(1, 32))])
    assert len(sessions) == 32
    resolved = fed(sessions, [call("new", 40)])
    assert (len(sessions), resolved.tally["sessions_dropped"]) == (30, 3)
    assert [(one.reason, one.session_id) for one in resolved.refused] == [("orphan", "first")]
    votes = [thumb(name, 40) for name in ("s1", "s2", "s3", "new")]
    assert [call_id for _, call_id in reached(fed(sessions, votes, ended=True))] == ["new-40", "s3-3"]


def test_an_erased_session_is_gone_and_what_waits_becomes_dead_letters_without_key() -> None:
    sessions = Sessions(RULES)
    fed(sessions, [call("s", 0), call("t", 0), thumb("s", 1), thumb("s", 1, "v")])
    resolved = sessions.erase("s", hash_of("s"))
    assert [(one.reason, one.session_id, one.outcome_id) for one in resolved.refused] == [("erased", "", "")] * 2
    assert resolved.tally == {"waiting": -2, "dead_letters": 2, "erased": 2}
    assert b"s-0" not in plain.pack(sessions.state())
    assert reached(fed(sessions, [thumb("s", 1), thumb("t", 1)], ended=True)) == [("session:u", "t-0")]
    assert sessions.erase("never", hash_of("never")).tally == {}


def test_what_is_over_leaves_the_tables() -> None:
    sessions = Sessions(RULES)
    fed(sessions, [call(f"s{at}", at) for at in range(100)] + [thumb(f"s{at}", at) for at in range(100)], ended=True)
    fed(sessions, [], 110)
    assert 0 < len(sessions) < 100
    fed(sessions, [], 1000)
    assert len(sessions) == 0
    assert len(plain.pack(sessions.state())) < 1000


def test_the_dead_letter_of_one_that_waited_says_where_it_lies_and_one_refused_at_once_has_its_bytes() -> None:
    sessions, vote = Sessions(RULES), thumb("s", 0)
    fed(sessions, [vote])
    other = replace(vote, outcome=replace(vote.outcome, success=False))
    (conflict,) = fed(sessions, [other]).refused
    (orphan,) = fed(sessions, [], 40).refused
    assert (conflict.reason, conflict.raw, orphan.reason, orphan.raw) == (
        "conflict", repr(other).encode(), "orphan", None,
    )  # fmt: skip
    assert (orphan.partition, orphan.offset, orphan.size) == ("outcomes/0", 0, len(repr(vote)))
    assert "same_id" in conflict.detail


def test_a_call_beyond_the_bound_takes_no_call_from_an_outcome_that_came_before_it() -> None:
    sessions = Sessions(replace(RULES, most_calls=2, session_wait_us=0))
    records: list[Call | Said] = [call("s", 0), thumb("s", 5, "u"), call("s", 6), call("s", 7), call("s", 8)]
    resolved = sessions.process(arrivals([(pos, one, one.at) for pos, one in enumerate(records)], T + 20 * MINUTE))
    assert reached(resolved) == [("session:u", "s-0")]
    assert resolved.tally["session_cut"] == 2


def test_a_session_of_very_many_calls_takes_no_longer_for_each() -> None:
    """Newest first, so that each call is the oldest: an index that walks would take minutes."""
    sessions = Sessions(replace(RULES, most_calls=2000, horizon_us=10_000 * MINUTE))
    begin = time.process_time()
    for start in range(8000, 0, -500):
        fed(sessions, [call("unknown", start - i) for i in range(500)])
    assert reached(fed(sessions, [thumb("unknown", 8000)], ended=True)) == [("session:u", "unknown-8000")]
    assert time.process_time() - begin < 60


@pytest.mark.parametrize("missing", ["calls", "lone", "said", "next"])
def test_a_state_that_lacks_a_part_is_not_read(missing: str) -> None:
    sessions = Sessions(RULES)
    fed(sessions, [call("s", 0), thumb("s", 0)])
    state = sessions.state()
    del state[missing]
    with pytest.raises(KeyError):
        Sessions.from_state(state, RULES)


def test_the_settings_of_a_call_are_those_it_was_taken_in_under() -> None:
    sessions = Sessions(RULES)
    fed(sessions, [call("s", 0)])
    later = Sessions.from_state(plain.unpack(plain.pack(sessions.state())), replace(RULES, horizon_us=MINUTE))
    assert reached(fed(later, [thumb("s", 50)], ended=True)) == [("session:u", "s-0")]
    fed(later, [call("t", 0)])
    assert reached(fed(later, [thumb("t", 50)], ended=True)) == []


def test_nothing_that_leaves_depends_on_the_seed() -> None:
    records = [call(f"s{at % 7}", at) for at in range(50)] + [thumb(f"s{at}", 40, scope="all") for at in range(7)]
    one, two = (fed(Sessions(RULES, seed), records, ended=True) for seed in (1, 2**64 - 1))
    assert len(one.statements) == 41
    assert (one.statements, one.refused, one.tally) == (two.statements, two.refused, two.tally)


def test_an_empty_batch_moves_the_watermark_alone() -> None:
    sessions = Sessions(RULES)
    resolved = fed(sessions, [])
    assert (resolved.statements, resolved.refused, resolved.tally) == ([], [], {})
    assert np.array_equal(sessions.state()["said_of"], np.zeros(0, np.int32))


def test_an_outcome_that_comes_after_its_call_has_closed_is_late() -> None:
    sessions = Sessions(replace(RULES, task_horizon_us={"task": 10 * MINUTE}))
    fed(sessions, [call("s", 0)])
    assert [one.reason for one in fed(sessions, [thumb("s", 5)], 20).refused] == []
    assert [one.reason for one in fed(sessions, [thumb("s", 5, "v")], 21).refused] == ["late"]


def test_what_waited_before_a_restart_is_resolved_while_all_partitions_are_at_their_end() -> None:
    sessions = Sessions(RULES)
    fed(sessions, [call("s", 0), thumb("s", 1)])
    resumed = Sessions.from_state(plain.unpack(plain.pack(sessions.state())), RULES)
    assert reached(fed(resumed, [], ended=True)) == [("session:u", "s-0")]


def test_of_calls_at_one_instant_the_greatest_id_is_the_last() -> None:
    for names in (("a", "b"), ("b", "a")):
        sessions = Sessions(RULES)
        fed(sessions, [call("s", 0, name) for name in names])
        assert reached(fed(sessions, [thumb("s", 0)], ended=True)) == [("session:u", "b")]


def test_a_call_that_comes_after_what_it_would_have_been_about_was_settled_is_counted() -> None:
    sessions = Sessions(RULES)
    fed(sessions, [call("s", 0), thumb("s", 5)], ended=True)
    assert fed(sessions, [call("s", 3)]).tally == {"session_late": 1}
    assert fed(sessions, [call("s", 6)]).tally == {}


def test_an_erased_call_is_no_parent_and_is_in_nothing_that_is_stored() -> None:
    sessions = Sessions(RULES)
    below = replace(call("s", 1, "below"), parent_call_id="erased-1")
    fed(sessions, [call("s", 0, "top"), replace(call("s", 0, "erased-1"), parent_call_id="top"), below, thumb("s", 1)])
    fed(sessions, [thumb("s", 2, "v", "all"), call("t", 0, "erased-1"), thumb("t", 0)], 30)
    sessions.erase_calls([(hash_of("erased-1"), "erased-1")])
    assert b"erased-1" not in plain.pack(sessions.state())
    tree = Said("s", replace(thumb("s", 2, "w").outcome, call_id="top"), "descendants")
    assert reached(fed(sessions, [tree], 30)) == [("session:w", "top")]
    assert reached(fed(sessions, [thumb("t", 5, "x")], 30)) == []


def test_a_session_with_more_outcomes_than_are_remembered_forgets_the_oldest_and_stays_in_columns() -> None:
    sessions = Sessions(replace(RULES, most_ids=3))
    fed(sessions, [call("s", 0), *(thumb("s", at, f"u{at}") for at in (1, 2, 3))], ended=True)
    assert reached(fed(sessions, [thumb("s", 4, "u4")], ended=True)) == [("session:u4", "s-0")]
    state = sessions.state()
    assert (len(state["lone"]["key"]), len(state["said"])) == (3, 0)
    assert fed(sessions, [thumb("s", 2, "u2")]).tally == {"duplicates": 1}
    assert [one.reason for one in fed(sessions, [thumb("s", 1, "u1")], ended=True).refused] == ["orphan"]


def test_an_outcome_that_comes_again_word_for_word_leaves_its_session_in_columns() -> None:
    """In the same batch, while it waits, and after it has reached its call; with other content it does not."""
    sessions = Sessions(RULES)
    twice = fed(sessions, [call("s", 0), thumb("s", 1), thumb("s", 1), thumb("t", 1)])
    assert twice.tally == {"waiting": 2, "duplicates": 1}
    assert fed(sessions, [thumb("s", 1)]).tally == {"duplicates": 1}
    assert reached(fed(sessions, [], 20)) == [("session:u", "s-0")]
    assert fed(sessions, [thumb("s", 1)], 20).tally == {"duplicates": 1}
    assert len(sessions.state()["said"]) == 1, "that of the session without a call"
    other = replace(thumb("s", 1).outcome, success=False)
    assert fed(sessions, [Said("s", other)], 20).tally == {"dead_letters": 1, "conflicts": 1}


def test_an_outcome_that_comes_again_when_the_first_was_given_up_is_another_one() -> None:
    sessions = Sessions(RULES)
    assert fed(sessions, [thumb("s", 1)]).tally == {"waiting": 1}
    again = fed(sessions, [thumb("s", 1)], 60)
    assert [one.reason for one in again.refused] == ["orphan", "orphan"]
