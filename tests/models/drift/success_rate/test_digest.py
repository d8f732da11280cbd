"""The weekly digest: e-BH against its definition, and how much of what it lists is false."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import MINUTES_PER_WEEK
from models.drift.success_rate.digest import ALPHA, Weekly, digest, e_bh, week_of
from models.messages import AnyGroup
from models.stats.shiryaev_roberts import ShiryaevRoberts

HOUR = 60
MONDAY = week_of(29_000_000)[0]


def slow_e_bh(e_values: list[float], alpha: float) -> int:
    """How many are rejected, by the definition: the greatest k with k of them at least G / (k alpha)."""
    g = len(e_values)
    fits = [k for k in range(1, g + 1) if sum(e * k * alpha >= g for e in e_values) >= k]
    return max(fits, default=0)


@given(
    st.lists(st.one_of(st.floats(0, 1e6), st.sampled_from([1.0, 20.0, 40.0, 100.0])), max_size=40),
    st.sampled_from([0.01, 0.05, 0.5, 1.0]),
)
def test_e_bh_rejects_as_many_as_its_definition_and_the_greatest(e_values: list[float], alpha: float) -> None:
    chosen = e_bh(np.array(e_values), alpha).tolist()
    assert len(chosen) == slow_e_bh(e_values, alpha)
    assert len(set(chosen)) == len(chosen)
    assert [e_values[at] for at in chosen] == sorted(e_values, reverse=True)[: len(chosen)]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.integers(0, 29), st.floats(1, 100))
def test_more_evidence_for_one_never_takes_another_off_the_list(e_values: list[float], at: int, factor: float) -> None:
    more = list(e_values)
    more[at % len(more)] *= factor
    assert set(e_bh(np.array(e_values), 0.05).tolist()) <= set(e_bh(np.array(more), 0.05).tolist())


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.1])
def test_a_share_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\]"):
        e_bh(np.ones(3), alpha)


@given(st.integers(-(10**7), 10**8))
def test_weeks_begin_on_monday_in_utc(minute: int) -> None:
    begin, end = week_of(minute)
    assert begin <= minute < end == begin + MINUTES_PER_WEEK
    if begin >= 0:
        at = datetime.fromtimestamp(begin * 60, UTC)
        assert (at.isocalendar().weekday, at.hour, at.minute) == (1, 0, 0)


GROUPS: list[AnyGroup] = [("refund", None, None), ("refund", "atlas", None), ("search", None, None)]


def weekly(mean_r: list[list[float]], order: tuple[int, ...] = (0, 1, 2)) -> Weekly:
    counts = [np.array([100.0, 50.0, 10.0])[list(order)] for _ in range(4)]
    rows = np.array(mean_r)[list(order)]
    return Weekly([GROUPS[at] for at in order], rows, counts[0] / 10, counts[1], counts[2] / 2, counts[3])


def test_a_digest_lists_both_directions_by_strength_and_does_not_depend_on_the_order_of_groups() -> None:
    strengths = [[300.0, 0.0], [70.0, 1.0], [0.0, 300.0]]
    found = digest(MONDAY + MINUTES_PER_WEEK, weekly(strengths))
    listed = [(one.task_type, one.model, one.direction) for one in found.entries]
    assert listed == [("refund", None, "down"), ("search", None, "up"), ("refund", "atlas", "down")]
    assert (found.groups, found.false_discovery_rate) == (3, ALPHA)
    assert (found.entries[0].baseline, found.entries[0].current, found.entries[0].trials) == (0.9, 0.5, 100)
    assert digest(MONDAY + MINUTES_PER_WEEK, weekly(strengths, (2, 0, 1))) == found


def test_a_week_in_which_nothing_changed_has_an_empty_digest_with_its_name() -> None:
    found = digest(MONDAY + MINUTES_PER_WEEK, weekly([[1.0, 1.0]] * 3))
    assert found.entries == []
    assert found.week == datetime.fromtimestamp(MONDAY * 60, UTC).strftime("%G-W%V")


def test_a_week_that_has_not_ended_is_refused() -> None:
    with pytest.raises(ValueError, match="must end on a Monday at 00:00 UTC"):
        digest(MONDAY + 1, weekly([[1.0, 1.0]] * 3))


def discoveries(share: float, groups: int, seed: int) -> tuple[float, float]:
    """(False share of what is listed, share of the changed that is listed); changes of 10 points within the week."""
    rng = np.random.default_rng(seed)
    failing = np.clip(rng.beta(2, 8, groups), 0.02, 0.8)
    per_hour = np.clip(np.exp(rng.normal(np.log(300), 1.5, groups)), 30, 20_000) / 24
    detector = ShiryaevRoberts(groups, dispersion=False)
    detector.trials[:] = rng.poisson(per_hour * 24 * 28)
    detector.failures[:] = rng.binomial(detector.trials.astype(np.int64), failing)
    changed = rng.random(groups) < share
    begins = rng.integers(0, 120, groups)
    rows = np.arange(groups)
    for hour in range(168):
        worse = changed & (hour >= begins)
        n = rng.poisson(per_hour)
        f = rng.binomial(n, np.minimum(failing + 0.1 * worse, 0.95))
        down, up = detector.update(rows, n - f, f, MONDAY + hour * HOUR)
    mean_r = np.stack((down, up), axis=1)
    none = np.zeros(groups)
    found = digest(
        MONDAY + MINUTES_PER_WEEK, Weekly([(f"{at:06}", None, None) for at in rows], mean_r, none, none, none, none)
    )
    right = {(f"{at:06}", "down") for at in np.flatnonzero(changed)}
    listed = {(one.task_type, one.direction) for one in found.entries}
    return len(listed - right) / max(len(listed), 1), len(listed & right) / max(len(right), 1)


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_of_what_a_digest_lists_few_are_false_and_most_changes_are_in_it(share: float) -> None:
    found = [discoveries(share, 1500, seed) for seed in range(6)]
    false, power = np.mean(found, axis=0)
    print(f"{share:.0%} of groups changed by 10 points: false discoveries {false:.2%}, found {power:.0%}")  # noqa: T201
    assert false <= ALPHA
    assert power > 0.5
