"""The session step and the slow oracle agree on every history, however it is cut and wherever it is resumed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.histories import interleavings
from oracle.records import Call, Rules
from oracle.session import Said
from oracle.session_direct import Stream, fast, read_stream, slow
from oracle.session_histories import PARTITIONS, session_histories, session_streams

cuts_of = st.lists(st.integers(1, 40), max_size=8)
ended_of = st.lists(st.booleans(), min_size=1, max_size=4)


def check(rules: Rules, stream: Stream, *, resume: bool) -> None:
    """Statements with minute and watermark, dead letters, and counts."""
    expected, found = slow(rules, stream), fast(rules, stream, resume=resume)
    assert found.statements == expected.statements
    assert found.refused == expected.refused
    if rules.most_calls < 10:
        # Calls beyond the bound are counted unless their time was over, which the oracle sees after each record.
        del found.tally["session_cut"], expected.tally["session_cut"]
    assert +found.tally == +expected.tally


@pytest.mark.slow
@given(st.data())
def test_the_step_equals_the_oracle_however_batches_are_cut_and_resumed(data: st.DataObject) -> None:
    in_order, bounded = data.draw(st.booleans()), data.draw(st.booleans())
    history = data.draw(session_histories(in_order=in_order, bounded=bounded))
    order = data.draw(interleavings(history.reads()))
    stream = read_stream(order, PARTITIONS, data.draw(cuts_of), data.draw(ended_of))
    check(history.rules, stream, resume=data.draw(st.booleans()))


@pytest.mark.slow
@given(session_streams(), cuts_of, ended_of, st.booleans())
def test_the_step_equals_the_oracle_at_any_watermark(
    drawn: tuple[Rules, list[Call | Said], list[int], int],
    cuts: list[int],
    ended: list[bool],
    resume: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    rules, records, before, last = drawn
    check(rules, Stream(records, before, last, cuts, ended), resume=resume)
