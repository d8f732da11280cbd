"""What looks are given is never more than was paid in, in any order, and what alarms costs nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drift.settings import DriftSettings
from models.stats.alpha_account import ALPHA_GRAIN, LOOK_LEVELS, MOST_ALPHA, AlphaAccount


def test_a_moment_is_looked_at_each_time_it_has_half_as_many_trials_again() -> None:
    assert LOOK_LEVELS[0] == 8
    assert all(1.45 < after / before < 1.6 for before, after in pairwise(LOOK_LEVELS))


def test_groups_pay_in_what_the_budget_gives_known_moments() -> None:
    settings = DriftSettings(false_alarms_per_1000_groups_per_week=2.0)
    assert 1000 * settings.known_moment_alpha == pytest.approx(2.0 / 20, rel=1e-6)


@given(st.lists(st.one_of(st.integers(1, 400), st.none()), max_size=60))
def test_the_balance_is_what_was_paid_in_less_what_was_taken_exactly(steps: list[int | None]) -> None:
    """Numbers: so many groups pay in. None: a look."""
    alpha, account, paid, taken = DriftSettings().known_moment_alpha, AlphaAccount(), 0, 0.0
    for step in steps:
        if step is None:
            given_now = account.take()
            assert 0 <= given_now <= MOST_ALPHA
            assert given_now % ALPHA_GRAIN == 0
            taken += given_now
        else:
            paid += step
            for _ in range(step):
                account.pay_in(alpha)
    assert account.balance == paid * alpha - taken
    assert account.balance >= 0


def test_however_many_look_they_are_not_given_more_than_there_is() -> None:
    account = AlphaAccount()
    account.pay_in(0.001)
    assert sum(account.take() for _ in range(1000)) <= 0.001
