"""Sessions are judged as the slow oracle does, however batches are cut and wherever the steps are resumed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.histories import History
from oracle.records import MINUTE_US
from oracle.session_checks_direct import session_direct
from oracle.session_checks_histories import checked_histories
from oracle.session_checks_replay import replayed_checks


@pytest.mark.slow
@settings(max_examples=30)
@given(checked_histories(), st.lists(st.integers(1, 24), max_size=6), st.lists(st.booleans(), max_size=6))
def test_what_is_found_equals_the_oracles_however_batches_are_cut_and_resumed(
    history: History, cuts: list[int], resumes: list[bool]
) -> None:
    oracle, direct = replayed_checks(history, merged=True), session_direct(history.rules)
    direct.run(history, cuts, resumes, merged=True)
    assert direct.checks == oracle.ledgers.checks()
    assert +direct.check_counts == oracle.ledgers.check_counts()
    assert not -direct.check_counts
    through = direct.watermark // MINUTE_US
    closed = Counter({key: n for key, n in oracle.ledgers.check_trials().items() if key[1] < through})
    assert +direct.check_trials == closed
