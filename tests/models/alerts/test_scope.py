"""Which calls a change is about: scopes against slow oracles."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alerts.scope import Leaves, Scope, covers, leaf_gains, overlap, wider
from models.alerts.sentences import scope_text
from models.arrays import F64
from models.messages import Group
from models.stats.shiryaev_roberts import RATIOS

WORDS = ("a", "b", "c")
EVERY: list[Group] = [(task, model, config) for task, model, config in product(WORDS, repeat=3)]
scopes: st.SearchStrategy[Scope] = st.tuples(*(st.sampled_from([None, *WORDS]) for _ in range(3)))


def calls(scope: Scope) -> set[Group]:
    """The leaves of a scope, one by one."""
    return {leaf for leaf in EVERY if all(part in (None, mine) for part, mine in zip(scope, leaf, strict=True))}


@given(scopes, scopes)
def test_scopes_cover_and_overlap_as_their_calls_do(one: Scope, other: Scope) -> None:
    assert covers(one, other) == (calls(one) >= calls(other))
    assert overlap(one, other) == bool(calls(one) & calls(other))


@given(scopes)
def test_wider_scopes_are_all_that_cover_one_narrow_ones_first(scope: Scope) -> None:
    found = wider(scope)
    every: list[Scope] = [(task, model, config) for task, model, config in product([None, *WORDS], repeat=3)]
    assert set(found) == {one for one in every if covers(one, scope)}
    assert found[0] == scope
    sizes = [len(calls(one)) for one in found]
    assert sizes == sorted(sizes)


@given(st.lists(st.sampled_from(EVERY), unique=True, min_size=1), scopes)
def test_leaves_within_a_scope_are_those_it_covers(names: list[Group], scope: Scope) -> None:
    inside = Leaves(names).within(scope)
    assert [name for name, mine in zip(names, inside, strict=True) if mine] == [n for n in names if covers(scope, n)]


@given(st.lists(st.sampled_from(EVERY), unique=True, min_size=1), scopes)
def test_a_name_means_the_same_leaves(names: list[Group], scope: Scope) -> None:
    leaves = Leaves(names)
    inside = leaves.within(scope)
    named = leaves.named(scope)
    assert np.array_equal(leaves.within(named), inside)
    if inside.sum() == 1:
        assert None not in named


def test_a_config_that_everybody_has_is_not_named() -> None:
    leaves = Leaves([(task, model, "default") for task in WORDS for model in WORDS])
    assert leaves.named((None, "a", "default")) == (None, "a", None)
    assert leaves.named((None, None, "default")) == (None, None, None)
    leaves.add(("a", "a", "v2"))
    leaves.add(("a", "b", "v2"))
    assert leaves.named((None, None, "v2")) == ("a", None, "v2")


def changed(names: list[Group], hit: set[Group], drop: float = 0.2, trials: int = 300) -> F64:
    """Gains of leaves of which some have changed, at their expected counts."""
    n0, n1 = np.full(len(names), 3000.0), np.full(len(names), float(trials))
    f1 = np.array([trials * (0.1 + drop * (name in hit)) for name in names])
    return leaf_gains((n0 * 0.1, n0), (f1, n1), Leaves(names).parents(), worse=True)


@pytest.mark.parametrize("scope", [*wider(("a", "b", "c")), ("b", None, "a"), (None, "c", None)], ids=scope_text)
def test_whatever_scope_changed_is_the_one_that_explains_it(scope: Scope) -> None:
    leaves = Leaves(EVERY)
    hit = calls(scope)
    for seed in (min(hit), max(hit)):
        found = leaves.best(changed(EVERY, hit), leaves.within(seed), np.ones(len(EVERY), np.bool_))
        assert found is not None
        assert calls(found.scope) == hit
        assert found.gain > 30


def test_two_changes_in_nothing_common_are_not_explained_by_everything() -> None:
    leaves = Leaves(EVERY)
    hit = {("a", "a", "a"), ("b", "b", "b")}
    found = leaves.best(changed(EVERY, hit, drop=0.3), leaves.within(("a", None, None)), np.ones(len(EVERY), np.bool_))
    assert found is not None
    assert found.scope == ("a", "a", "a")


def test_leaves_that_are_explained_already_do_not_count() -> None:
    leaves = Leaves(EVERY)
    hit = calls((None, "b", None))
    free = ~leaves.within(("a", None, None))
    found = leaves.best(changed(EVERY, hit), leaves.within(("b", "b", None)), free)
    assert found is not None
    assert found.scope == (None, "b", None)
    assert leaves.best(changed(EVERY, hit), leaves.within(("a", None, None)), free) is None


@given(st.permutations(EVERY))
def test_the_answer_does_not_depend_on_the_order_of_the_leaves(names: list[Group]) -> None:
    leaves = Leaves(names)
    found = leaves.best(
        changed(names, calls(("a", None, "b"))), leaves.within(("a", None, None)), np.ones(27, np.bool_)
    )
    assert found is not None
    assert found.scope == ("a", None, "b")


def test_a_gain_is_a_log_likelihood_ratio_and_a_new_leaf_is_judged_by_its_parent() -> None:
    names: list[Group] = [("a", "a", "old"), ("a", "a", "new")]
    before = (np.array([100.0, 0.0]), np.array([1000.0, 0.0]))
    since = (np.array([10.0, 40.0]), np.array([100.0, 100.0]))
    gains = leaf_gains(before, since, Leaves(names).parents(), worse=True)
    assert gains[0].max() < 0.1
    assert gains[1].max() > 20
    expected = 40 * np.log(RATIOS) - 100 * np.log(1 + (RATIOS - 1) * 0.1)
    assert gains[1] == pytest.approx(expected, rel=0.02)
