"""What the step says of itself is true: until when nothing happens in it, and whether something waits for the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import plain
from models.sessions import Sessions
from oracle.records import Call, Outcome, Rules
from oracle.session import Erase, Said
from oracle.session_direct import Stream, arrivals, rules_of
from oracle.session_histories import session_streams


@pytest.mark.slow
@given(session_streams(plain=True), st.lists(st.integers(1, 30), max_size=8), st.booleans())
def test_up_to_the_watermark_that_it_names_an_empty_batch_does_nothing(
    drawn: tuple[Rules, list[Call | Said | Erase], list[int], int],
    cuts: list[int],
    ended: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    rules, records, before, last = drawn
    kept = [at for at, record in enumerate(records) if not isinstance(record, Erase)]
    stream = Stream([records[at] for at in kept], [before[at] for at in kept], last, cuts, [ended])
    sessions = Sessions(rules_of(rules))
    for places, after, is_over in stream.batches():
        sessions.process(stream.arrivals(places, after, ended=is_over))
        assert after <= sessions.idle_until
        assert_nothing_happens(sessions, sessions.idle_until, ended=False)
        if not sessions.waits:
            assert_nothing_happens(sessions, after, ended=True)


def assert_nothing_happens(sessions: Sessions, watermark: int, *, ended: bool) -> None:
    """A batch without records leads to nothing, and leaves the state as it was."""
    state = _state(sessions)
    resolved = sessions.process(arrivals([], watermark, ended=ended))
    assert (resolved.statements, resolved.refused, resolved.tally) == ([], [], {})
    assert _state(sessions) == state


def _state(sessions: Sessions) -> Any:
    return plain.pack({**sessions.state(), "swept_at": 0} if not len(sessions) else sessions.state())


def test_it_is_no_longer_idle_when_something_becomes_due() -> None:
    sessions, rules = Sessions(rules_of(Rules())), Rules()
    said = [Said("s", _vote(10)), Said("s", _vote(20)), Said("t", _vote(5), "all")]
    assert (sessions.idle_until, sessions.waits) == (2**63 - 1, False)
    for part, first in ((said[:2], 10), (said[2:], 5)):
        sessions.process(arrivals([(0, Call("c", 0, session_id="t"), 0), *_read(part)], 0))
        assert (sessions.idle_until, sessions.waits) == (first + rules.session_wait_us, True)
    dues = [one + rules.session_wait_us + 1 for one in (5, 10, 20)]
    made = [len(sessions.process(arrivals([], due)).statements) for due in dues]
    assert made == [1, 0, 0]


def _vote(at: int) -> Outcome:
    return Outcome(f"u{at}", "", at, success=True)


def _read(said: list[Said]) -> list[tuple[int, Said, int]]:
    return [(pos, one, 0) for pos, one in enumerate(said, start=1)]
