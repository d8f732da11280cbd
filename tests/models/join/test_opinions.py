"""The reading of a ledger of editions, voices, abstentions, combined and required sources is that of the oracle."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.join.ledger import Statement, read
from models.join.statements import OPEN, Verdict
from oracle.direct import join_rules
from oracle.held import Held
from oracle.identity import fate
from oracle.kinds import HOW
from oracle.ledger import decide, revisions, standing
from oracle.records import NEVER, Call, Outcome, Rules
from oracle.votes import REVISES, retract, vote

SOURCES = ("human", "judge", "user")
IDS = tuple("abcdef")
some = st.sampled_from([frozenset(SOURCES), frozenset(SOURCES), frozenset({"user"}), frozenset()])
rules = st.builds(
    Rules,
    precedence=st.sampled_from([(), ("human", "judge"), ("judge", "user", "human")]),
    fail_at=st.sampled_from([{}, {"judge": 0.3}]),
    scale=st.sampled_from([{}, {"user": (-1.0, 5.0)}]),
    revises=some,
    abstain=st.sampled_from([{}, {}, dict.fromkeys(SOURCES, (0.4, 0.6))]),
    combine=st.sampled_from(HOW).map(lambda how: dict.fromkeys(SOURCES, how)),
    require=st.sampled_from([(), (), ("judge",), ("judge", "human")]),
)
said = st.sampled_from([(True, None), (False, None), (None, 0.5), (None, 0.2), (None, 0.9), (True, 0.1), (None, None)])


@st.composite
def records(draw: st.DrawFn) -> list[tuple[Outcome, int]]:
    """Outcomes and their minutes: several records of few ids, each id of one source and author."""
    whose = st.tuples(st.sampled_from([*SOURCES, "user"]), st.sampled_from([None, "ann", "bob"]))
    owners = {outcome_id: draw(whose) for outcome_id in IDS}
    drawn = []
    for outcome_id in draw(st.lists(st.sampled_from(IDS), max_size=10)):
        source, author = owners[outcome_id]
        retracts = draw(st.integers(0, 3)) == 0
        success, score = (None, None) if retracts else draw(said)
        outcome = Outcome(
            outcome_id, "c", draw(st.integers(0, 3)), source, success, score, "retract" if retracts else "assert",
            draw(st.sampled_from([None, None, *IDS])) if retracts else None, author=author,
        )  # fmt: skip
        drawn.append((outcome, draw(st.integers(0, 4))))
    return drawn


def statement(outcome: Outcome, minute: int) -> Statement:
    """A record that stands in the oracle's ledger as one of the join's."""
    return Statement(
        outcome.at, outcome.outcome_id, outcome.source, outcome.success, outcome.score, outcome.action == "retract",
        outcome.retracts, outcome.reason, minute, outcome.author, outcome.edition,
    )  # fmt: skip


@settings(max_examples=300)
@given(rules, records(), st.booleans(), st.randoms())
def test_a_reading_is_the_oracles_whatever_the_order_of_the_statements(
    chosen: Rules,
    sent: Sequence[tuple[Outcome, int]],
    failed: bool,  # noqa: FBT001 - drawn by Hypothesis
    random: Random,
) -> None:
    """Verdict, what it rests on, since when, the score, what stands, revisions, and the ends of all minutes."""
    call = Call("c", -1, error="x" if failed else None)
    held = Held(call, 0, chosen)
    for outcome, minute in sent:
        if fate(outcome, held.arrived(), chosen).kind in {"new", "edition"}:
            held.enter(outcome, minute)
    statements = [statement(arrived.outcome, arrived.minute) for arrived in held.ledger]
    random.shuffle(statements)
    found = read(0, statements, join_rules(chosen).verdict, failed=failed, required=chosen.require)
    wanted = decide(call, held.statements(), chosen)
    assert as_oracle(found.verdict, call) == (wanted.verdict, wanted.outcome_id, wanted.decided_at, wanted.score)
    assert found.stands == {s.outcome_id: s.edition for s in standing(held.statements(), chosen)}
    assert found.revisions == revisions(call, held.statements(), chosen)
    for minute, (success, source) in found.ends.items():
        then = held.verdict(minute)
        names = {None: "pending", True: "success", False: "failure"}
        assert (names[success], source) == (then.verdict, then.source)
    assert found.ends.keys() == {0, *(arrived.minute for arrived in held.ledger)}


def as_oracle(verdict: Verdict, call: Call) -> tuple[str, str | None, int | None, float | None]:
    """Verdict, outcome, instant and score as the oracle has them; the call's own error is of the call's time."""
    success, rests_on, at, score = verdict
    if success is None:
        return "pending", None, None, None
    if rests_on is None:
        return "failure", None, call.at, None
    return "success" if success else "failure", rests_on.outcome_id, at, score


@pytest.mark.parametrize(
    ("others", "stands"),
    [((), {"1": 2}), ((retract("0", 5),), {}), ((retract("2", 5),), {}), ((retract("2", 4),), {"1": 2})],
)
def test_a_retraction_of_all_spares_the_further_records_of_its_own_id(
    others: tuple[Outcome, ...], stands: dict[str, int]
) -> None:
    ledger = [statement(outcome, 0) for outcome in (vote("9", 1), retract("1", 5), vote("1", 5, edition=2), *others)]
    assert read(0, ledger, join_rules(REVISES).verdict).stands == stands


def test_a_clearing_gives_back_what_its_voice_said_under_another_id() -> None:
    ledger = [statement(outcome, 0) for outcome in (vote("9", 1), vote("1", 3), retract("1", 5, edition=2))]
    assert read(0, ledger, join_rules(REVISES).verdict).stands == {"9": 1}


def test_before_anything_is_said_all_is_open() -> None:
    found = read(7, [], join_rules(Rules(require=("judge",))).verdict, required=("judge",))
    assert (found.verdict.success, found.verdict.decided_at, found.ends) == (None, NEVER, {7: OPEN})


@pytest.mark.parametrize("combine", HOW)
@pytest.mark.parametrize("several", ["authors", "editions", "sources"])
def test_a_call_with_ten_thousand_voices_or_editions_delays_no_other_call(combine: str, several: str) -> None:
    """Their minutes run against their order, every third takes the one before back: quadratic work takes minutes."""
    count = 10_000
    rules = join_rules(Rules(revises=frozenset({"user"}), combine={"user": combine})).verdict
    ledger = [
        Statement(
            at=i,
            outcome_id="o" if several == "editions" else f"o{i:05}",
            source=f"user{i}" if several == "sources" else "user",
            given=None if (takes_back := i % 3 == 2) else bool(i % 2),
            score=0.1 * (i % 11) if i % 5 == 0 and not takes_back else None,
            retract=takes_back,
            retracts=f"o{i - 1:05}" if takes_back and several != "editions" else None,
            reason=None,
            minute=count - i,
            author=f"a{i}" if several == "authors" else None,
            edition=i + 1 if several == "editions" else 1,
        )
        for i in range(count)
    ]
    began = time.process_time()
    found = read(0, ledger, rules)
    assert len(found.ends) == count + 1
    assert time.process_time() - began < 30
