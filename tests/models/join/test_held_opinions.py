"""After an upgrade, what sources have said of held calls is counted, once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models import plain
from models.join import Join
from oracle.direct import Direct, join_rules
from oracle.histories import History, histories


@pytest.mark.slow
@settings(max_examples=25)
@given(histories(sorted_files=True), st.integers(1, 40), st.booleans())
def test_what_was_said_of_held_calls_is_counted_in_the_first_batch_after_an_upgrade(
    history: History,
    cut: int,
    again: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    """Then all is as if it had been counted from the start, but for calls that had closed: no count is below zero."""
    kept, upgraded = Direct(join_rules(history.rules)), Upgraded(join_rules(history.rules), again=again)
    size = len(history.order(merged=False))
    assume(size > 1)
    for direct in (kept, upgraded):
        direct.run(history, [1 + cut % (size - 1)], [])
    assert all(count >= 0 for count in upgraded.opinions.values())
    assert upgraded.opinions <= kept.opinions
    if not upgraded.closed:
        assert +upgraded.opinions == +kept.opinions


class Upgraded(Direct):
    """After the first batch it goes on from the state that an earlier version would have left, without its opinions."""

    def __init__(self, rules: Any, *, again: bool) -> None:
        super().__init__(rules)
        self.again, self.closed, self._batches = again, False, Counter[str]()

    def _store(self, shard: str) -> None:
        super()._store(shard)
        self._batches[shard] += 1
        if self._batches[shard] > 1:
            return
        join = self.joins[shard]
        state = Join.MIGRATIONS[5](plain.unpack(plain.pack(join.state())))
        # Stored again before anything came, it is still not counted.
        state = plain.unpack(plain.pack(Join.from_state(state, self.rules).state())) if self.again else state
        self.joins[shard] = Join.from_state(state, self.rules, self.seed, self.most_early)
        if len(self._batches) == len(self.joins):
            self.closed = sum(len(one.shard.held) for one in self.joins.values()) < len(self.calls)
            self.opinions.clear()
