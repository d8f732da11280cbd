"""The session step and the slow oracle agree on every history, however it is cut and wherever it is resumed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sessions import Sessions
from models.sessions.records import SessionStatement
from oracle.histories import interleavings
from oracle.records import Call, Rules
from oracle.session import Erase, Said
from oracle.session_direct import How, Stream, fast, read_stream, rules_of, slow
from oracle.session_histories import PARTITIONS, session_histories, session_streams

cuts_of = st.lists(st.integers(1, 40), max_size=8)
ended_of = st.lists(st.booleans(), min_size=1, max_size=4)


hows = st.builds(How, st.sampled_from([1000, 1, 2]), st.sampled_from([1000, 3]), st.sampled_from([True, True, False]))


def check(rules: Rules, stream: Stream, how: How) -> None:
    """Statements with minute and watermark, dead letters, and counts."""
    expected, found = slow(rules, stream), fast(rules, stream, how)
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
    check(history.rules, stream, data.draw(hows))


@pytest.mark.slow
@given(session_streams(), cuts_of, ended_of, hows)
def test_the_step_equals_the_oracle_at_any_watermark(
    drawn: tuple[Rules, list[Call | Said | Erase], list[int], int], cuts: list[int], ended: list[bool], how: How
) -> None:
    rules, records, before, last = drawn
    check(rules, Stream(records, before, last, cuts, ended), how)


@pytest.mark.slow
@given(session_streams(plain=True), cuts_of, ended_of, hows)
def test_the_fast_path_equals_the_oracle_where_most_is_said_once(
    drawn: tuple[Rules, list[Call | Said | Erase], list[int], int], cuts: list[int], ended: list[bool], how: How
) -> None:
    rules, records, before, last = drawn
    check(rules, Stream(records, before, last, cuts, ended), how)


@pytest.mark.slow
@given(session_streams(plain=True), cuts_of, ended_of)
def test_the_fast_path_makes_of_a_batch_what_the_slow_one_makes_of_it(
    drawn: tuple[Rules, list[Call | Said | Erase], list[int], int], cuts: list[int], ended: list[bool]
) -> None:
    """Places of the records and the order within each session too, and what is forgotten beyond the bound."""
    rules, records, before, last = drawn
    read = [at for at, record in enumerate(records) if not isinstance(record, Erase)]
    stream = Stream([records[at] for at in read], [before[at] for at in read], last, cuts, ended)
    ways = [Sessions(rules_of(rules), most=2, in_columns=in_columns) for in_columns in (True, False)]
    for places, after, is_over in stream.batches():
        one, other = (way.process(stream.arrivals(places, after, ended=is_over)) for way in ways)
        assert sorted(one.statements, key=session_of) == sorted(other.statements, key=session_of)
        assert sorted(one.refused) == sorted(other.refused)
        assert one.tally == other.tally
        assert len(ways[0]) == len(ways[1])


def session_of(statement: SessionStatement) -> str:
    """The session of a statement."""
    return statement.session_id
