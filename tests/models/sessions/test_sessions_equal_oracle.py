"""The session step and the slow oracle agree on every history, however it is cut and wherever it is resumed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.histories import interleavings
from oracle.session_direct import fast, slow
from oracle.session_histories import PARTITIONS, session_histories


@pytest.mark.slow
@given(st.data())
def test_the_step_equals_the_oracle_however_batches_are_cut_and_resumed(data: st.DataObject) -> None:
    """Statements with minute and watermark, dead letters, and counts; also where records come late."""
    in_order, bounded = data.draw(st.booleans()), data.draw(st.booleans())
    history = data.draw(session_histories(in_order=in_order, bounded=bounded))
    order = data.draw(interleavings(history.reads()))
    cuts = data.draw(st.lists(st.integers(1, 40), max_size=8))
    ended = data.draw(st.lists(st.booleans(), min_size=1, max_size=4))
    expected = slow(history.rules, order, PARTITIONS, cuts, ended)
    found = fast(history.rules, order, PARTITIONS, cuts, ended, resume=data.draw(st.booleans()))
    assert found.statements == expected.statements
    assert found.refused == expected.refused
    if bounded:
        # Calls beyond the bound are counted unless their time was over, which the oracle sees after each record.
        del found.tally["session_cut"], expected.tally["session_cut"]
    assert +found.tally == +expected.tally
