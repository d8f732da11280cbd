"""What must hold of one ledger, drawn densely: few ids, sources and people, and few instants."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.held import Held
from oracle.kinds import ABSTAIN, HOW
from oracle.ledger import combined, decide, opinion, place, says, standing
from oracle.records import Call, Outcome, Rules
from oracle.replay import Oracle

SOURCES = sorted(ABSTAIN)


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[Rules, list[Outcome], Call]:
    """Rules and a ledger that they admit, in the order of arrival."""
    sources = st.sampled_from(SOURCES[:3])
    rules = Rules(
        precedence=tuple(draw(st.lists(sources, unique=True, max_size=2))),
        pass_at={"judge": 0.5},
        fail_at={"toxicity": 0.3},
        revises=draw(st.frozensets(sources)),
        abstain={name: ABSTAIN[name] for name in sorted(draw(st.sets(sources)))},
        combine=draw(st.dictionaries(sources, st.sampled_from(HOW))),
        require=tuple(draw(st.lists(sources, unique=True, max_size=2))),
    )
    call = Call("c", 0, error=draw(st.sampled_from([None, None, "timeout"])))
    held = Held(call, 0, replace(rules, horizon_us=1000))
    oracle = Oracle(held.rules)
    oracle._calls.append(held)
    for _ in range(draw(st.integers(0, 9))):
        outcome = Outcome(
            draw(st.sampled_from("abcde")),
            "c",
            draw(st.integers(0, 4)),
            draw(sources),
            author=draw(st.sampled_from([None, "ann", "bob"])),
        )
        said = draw(
            st.sampled_from(
                [{"success": True}, {"success": False}, {"score": 0.0}, {"score": 0.3}, {"score": 0.5}, {"score": 1.0}]
            )
        )
        retracts = [{"action": "retract"}, {"action": "retract", "retracts": draw(st.sampled_from("abc"))}, {}]
        fields: dict[str, Any] = draw(st.sampled_from([said, said, said, said, draw(st.sampled_from(retracts))]))
        oracle.feed(replace(outcome, **fields), 0)
    return rules, held.arrived(), call


@pytest.mark.slow
@given(ledgers(), st.randoms())
def test_a_verdict_is_a_function_of_the_set_of_statements(
    drawn: tuple[Rules, list[Outcome], Call], shuffle: Any
) -> None:
    rules, ledger, call = drawn
    shuffled = list(ledger)
    shuffle.shuffle(shuffled)
    assert decide(call, shuffled, rules) == decide(call, ledger, rules)
    assert standing(shuffled, rules) == standing(ledger, rules)


@pytest.mark.slow
@given(ledgers())
def test_an_older_edition_decides_nothing(drawn: tuple[Rules, list[Outcome], Call]) -> None:
    """But since when a combined source says what it says: that reads the ledger from its beginning."""
    rules, ledger, call = drawn
    newest = [
        one
        for one in ledger
        if all((o.at, o.edition) <= (one.at, one.edition) for o in ledger if o.outcome_id == one.outcome_id)
    ]
    # A retraction that was its id's first record withdraws what its voice said, whatever became of its id.
    kept = [one for one in ledger if one in newest or (one.action == "retract" and one.edition == 1)]
    with_all, without = decide(call, ledger, rules), decide(call, kept, rules)
    assert with_all._replace(decided_at=None) == without._replace(decided_at=None)
    assert standing(ledger, rules) == standing(kept, rules)


@pytest.mark.slow
@given(ledgers())
def test_votes_are_combined_as_counted_by_hand(drawn: tuple[Rules, list[Outcome], Call]) -> None:
    rules, ledger, _ = drawn
    for source in SOURCES:
        votes = [s for s in standing(ledger, rules) if s.source == source]
        assert len({s.author for s in votes}) == len(votes)
        good = [s for s in votes if says(s, rules) is True]
        bad = [s for s in votes if says(s, rules) is False]
        for how in HOW:
            found = opinion(source, ledger, replace(rules, combine={source: how}))
            expected = by_hand(how, source, good, bad, rules)
            assert (None if found is None else found.success) == expected
            if found is not None:
                agree = (good if found.success else bad) or [*good, *bad]
                assert found.statement == max(agree, key=place)
                assert how == "newest" or found.score == len(good) / (len(good) + len(bad))


def by_hand(how: str, source: str, good: list[Outcome], bad: list[Outcome], rules: Rules) -> bool | None:
    """What these votes come to."""
    if not good and not bad:
        return None
    if how == "newest":
        return max([*good, *bad], key=place) in good
    if how == "majority":
        return None if len(good) == len(bad) else len(good) > len(bad)
    if how in {"all", "any"}:
        return not bad if how == "all" else bool(good)
    ends = (1, 0) if source not in rules.fail_at else (0, 1)
    scores = [Fraction(s.score) if s.score is not None else Fraction(ends[s in bad]) for s in [*good, *bad]]
    whole, number = sum(scores), len(scores)
    low, high = rules.abstain.get(source, (1, 0))
    if number * Fraction(low) <= whole <= number * Fraction(high):
        return None
    if source in rules.fail_at:
        return whole < number * Fraction(rules.fail_at[source])
    return whole >= number * Fraction(rules.pass_at.get(source, 0.7))


@pytest.mark.slow
@given(ledgers())
def test_an_opinion_holds_from_its_moment_on_and_not_just_before(drawn: tuple[Rules, list[Outcome], Call]) -> None:
    rules, ledger, _ = drawn
    ledger = sorted(ledger, key=place)
    for source in SOURCES:
        found = opinion(source, ledger, rules)
        if found is None or rules.combine.get(source, "newest") == "newest":
            continue
        read = [(s.at, combined(source, ledger[: i + 1], rules)) for i, s in enumerate(ledger)]
        changes = [at for (_, before), (at, now) in pairwise([(0, None), *read]) if now is not before]
        assert found.decided_at == changes[-1]
        assert read[-1][1] is found.success


@pytest.mark.slow
@given(ledgers())
def test_required_sources_decide_as_they_are_meant_to(drawn: tuple[Rules, list[Outcome], Call]) -> None:
    rules, ledger, call = drawn
    verdict = decide(call, ledger, rules)
    required = {source: opinion(source, ledger, rules) for source in rules.require}
    # Retractions of required sources may name statements of others.
    others = [s for s in ledger if s.source not in required or s.action == "retract"]
    rest = decide(replace(call, error=None), others, replace(rules, require=()))
    if any(one is not None and not one.success for one in required.values()):
        assert verdict.verdict == "failure"
        assert verdict.source in required
    elif rest.verdict == "failure":
        assert verdict == rest
    elif required and None in required.values():
        assert verdict.verdict == ("pending" if call.error is None else "failure")
    elif required:
        moments = [one.decided_at for one in required.values() if one is not None]
        assert verdict.verdict == "success"
        assert verdict.decided_at == max([*moments, *([] if rest.decided_at is None else [rest.decided_at])])
        assert verdict.source == rest.source if rest.source else verdict.source in required
