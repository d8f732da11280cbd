"""Ledgers read in columns are those read one by one: as functions, and in the join on the same batches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import format_time
from flows.dataflow.shards import SHARDS
from models.columns.id_column import IdColumn
from models.join import Join, Joined, JoinRules
from models.join import ledgers_in_columns as columns
from models.join.held_calls import IS_LONG, MOST_IN_COLUMNS
from models.join.ledger import Statement, VerdictRules, read
from oracle.direct import Direct, join_rules
from oracle.histories import DAY, MINUTE, SECOND, START, History, histories
from oracle.order import File
from oracle.records import Rules

RULES, SOURCES = VerdictRules(precedence=("human", "judge")), ("human", "judge", "toxicity", "feedback")
KINDS = frozenset({"editions", "clearings", "abstentions", "authors", "combine", "required"})
UUIDS = [f"00000000-0000-4000-8000-{n:012x}" for n in range(4)]
MIXED = [*"ab", UUIDS[1], UUIDS[1].replace("-", "")]
Ledgers = list[list[Statement]]


@st.composite
def ledgers(draw: st.DrawFn) -> Ledgers:
    """Up to four ledgers of up to four assertions, with ties in time."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        ids = draw(st.lists(st.sampled_from(draw(st.sampled_from([UUIDS, MIXED]))), unique=True, min_size=1))
        found.append([draw(assertion(outcome_id)) for outcome_id in ids])
    return found


@st.composite
def assertion(draw: st.DrawFn, outcome_id: str) -> Statement:
    success, at, minute = draw(st.booleans()), draw(st.integers(0, 3)), draw(st.integers(0, 4))
    return Statement(at, outcome_id, draw(st.sampled_from(SOURCES)), success, None, False, None, None, minute)


@given(ledgers(), st.integers(0, 3))
def test_they_are_read_as_one_by_one(given_ledgers: Ledgers, call_minute: int) -> None:
    """Verdict, revisions, what stands and the trials at the ends of minutes, however many are read together."""
    statements = [s for ledger in given_ledgers for s in ledger]
    call = np.repeat(np.arange(len(given_ledgers)), [len(ledger) for ledger in given_ledgers])
    ids, rows = IdColumn(), np.arange(len(statements), dtype=np.int32)
    ids.resize(len(rows))
    ids.put(rows, [s.outcome_id for s in statements])
    order = columns.ledger_order(call, np.array([s.at for s in statements]), ids, rows)
    ordered = [statements[i] for i in order.tolist()]
    call, names = call[order], sorted({s.source or "" for s in statements})
    success = np.array([s.given for s in ordered], np.int8)
    source = np.array([names.index(s.source or "") for s in ordered], np.int32)
    minute = np.maximum(np.array([s.minute for s in ordered], np.int32), call_minute)
    strength = columns.strengths(call, np.array([RULES.rank(s.source) for s in ordered], np.int32))

    by = columns.deciding(strength, len(call))
    verdicts = [ordered[i] for i in by[columns.last_of(call)].tolist()]
    changes = columns.revisions(call, success[by], len(given_ledgers)).tolist()
    stands = columns.newest_of_voices(call, source)
    found = columns.ends(call, minute, np.arange(len(call)), lambda some: after(success, strength[some]))
    ends = list(zip(*(column.tolist() for column in found), strict=True))
    for at, ledger in enumerate(given_ledgers):
        wanted = read(call_minute, ledger, RULES)
        assert verdicts[at] == wanted.verdict.statement
        assert changes[at] == wanted.revisions
        assert {ordered[i].outcome_id for i in np.flatnonzero(stands & (call == at))} == {*wanted.stands}
        assert [end_of(end, ordered) for end in ends if end[0] == at] == trials(wanted.ends)


def after(success: Any, strength: Any) -> Any:
    by = columns.deciding(strength, len(success))
    return success[by], by


def end_of(end: tuple[Any, ...], ordered: list[Statement]) -> tuple[Any, ...]:
    _, minute, by, success, before = end
    return minute, success == 1, None if before < 0 else before == 1, ordered[by].source


def trials(ends: dict[int, tuple[bool | None, str | None]]) -> list[tuple[Any, ...]]:
    """The ends of minutes whose verdict differs from that before."""
    found: list[tuple[Any, ...]] = []
    before: bool | None = None
    for minute in sorted(ends):
        success, source = ends[minute]
        if success is not before:
            found.append((minute, success, before, source))
        before = success
    return found


class Watched(Direct):
    """Counts the calls that are judged in columns, and the delays of verdicts, which only sinks sum up."""

    judged = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.delays: Counter[tuple[Any, ...]] = Counter()

    def _take(self, joined: Joined) -> None:
        self.judged += sum(len(judged.call_ids) for judged in joined.judged)
        names, delays = joined.changes.names, joined.changes.delays
        for code, *key, count in zip(*(column.tolist() for column in delays), strict=True):
            self.delays[names[code], *key] += count
        super()._take(joined)


class RecordByRecord(Watched):
    """Takes calls of earlier batches for long ones, which are read record by record; nothing else changes."""

    def _store(self, shard: str) -> None:
        super()._store(shard)
        self.mark(shard)

    def _resumed(self, shard: str) -> Any:
        self.joins[shard] = super()._resumed(shard)
        self.mark(shard)
        return self.joins[shard]

    def mark(self, shard: str) -> None:
        held = self.joins[shard].shard.held
        held.calls.traits[held.index.rows()] |= IS_LONG


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.tuples(st.booleans(), st.frozensets(st.sampled_from(sorted(KINDS)))).flatmap(
        lambda drawn: histories(sorted_files=drawn[0], kinds=drawn[1])
    ),
    st.lists(st.integers(1, 60), max_size=6),
    st.lists(st.booleans(), max_size=6),
)
def test_both_paths_give_the_same_on_the_same_batches(history: History, cuts: list[int], resumes: list[bool]) -> None:
    """Everything that leaves the join."""
    assert_same_on_both_paths(history, cuts, resumes)


@pytest.mark.parametrize("seed", range(8))
def test_both_paths_give_the_same_on_busy_calls(seed: int) -> None:
    """Calls about which much is said at nearly the same time, in any order; nearly all of them are read in columns."""
    rng = Random(seed)
    history = busy(rng)
    records = sum(len(file.lines) for file in history.files)
    cuts = sorted(rng.sample(range(records), rng.choice([5, 10, 25])))
    assert assert_same_on_both_paths(history, cuts, [rng.random() < 0.2 for _ in cuts]).judged > 5


def assert_same_on_both_paths(history: History, cuts: Sequence[int], resumes: Sequence[bool]) -> Watched:
    both = [kind(join_rules(history.rules)) for kind in (Watched, RecordByRecord)]
    for direct in both:
        direct.run(history, cuts, resumes, merged=True)
    assert everything(both[0]) == everything(both[1])
    return both[0]


SPECIAL: dict[str, Any] = {
    "abstain": {"a": (0.5, 0.5), "c": (0.0, 0.5)},
    "revises": frozenset("ac"),
    "combine": {"a": "majority", "c": "all", "d": "any"},
    "require": ("b", "e"),
}
"""Settings of `busy`, each there or not."""


def busy(rng: Random) -> History:
    """Thirty calls with up to eight statements each, of a few sources, ids and instants."""
    rules = Rules(
        horizon_us=DAY, allowed_lateness_us=MINUTE, orphan_wait_us=DAY, fail_at={"b": 0.4}, scale={"d": (1.0, 5.0)},
        precedence=rng.choice([("a", "b"), ("c", "d", "a"), ("d", "c", "b", "a")]),
        **{name: value for name, value in SPECIAL.items() if rng.random() < 0.4},
    )  # fmt: skip
    calls = [(f"c{n}", START + rng.choice([0, 30, 90]) * SECOND) for n in range(30)]
    signed = rng.random() < 0.5
    outcomes = [said(rng, *rng.choice(calls), signed=signed) for _ in range(150)]
    outcomes += rng.choices(outcomes, k=15)
    rng.shuffle(outcomes)
    first = [
        json.dumps({"call_id": name, "task_type": "t", "model": "m", **at_time(at)}).encode() for name, at in calls
    ]
    return History(rules, (File("calls", tuple(first)), File("outcomes", tuple(outcomes))))


def said(rng: Random, name: str, at: int, *, signed: bool) -> bytes:
    later = rng.choice([*(0, 1, 59, 60, 60, 120, 600) * 4, -1, 86_400])
    ids = {"outcome_id": rng.choice([*MIXED, *UUIDS, *"cdefgh"]), "call_id": name, "source": rng.choice("abcde")}
    ids |= {"author": rng.choice("xyz")} if signed and rng.random() < 0.5 else {}
    verdict: dict[str, Any] = rng.choice([{"success": True}, {"success": False}, {"score": rng.choice([0, 0.5, 4])}])
    verdict = {"action": "retract"} if rng.random() < 0.02 else verdict
    reason = {"reason": "r"} if rng.random() < 0.2 else {}
    return json.dumps({**ids, **verdict, **reason, **at_time(at + later * SECOND)}).encode()


def at_time(us: int) -> dict[str, str]:
    return {"occurred_at": format_time(us)}


def everything(direct: Direct) -> dict[str, Any]:
    names = ("calls", "verdicts", "statements", "newest", "tally", "dead", "cells", "trials", "responses", "delays")
    found = {name: getattr(direct, name) for name in names}
    return {name: +value if isinstance(value, Counter) else value for name, value in found.items()}


RULES_OF_A_DAY = Rules(horizon_us=86_400_000_000, allowed_lateness_us=0, orphan_wait_us=86_400_000_000, precedence=())


def call(name: str) -> bytes:
    return json.dumps({"call_id": name, "occurred_at": "2026-01-01T00:00:00Z", "task_type": "t", "model": "m"}).encode()


def outcome(name: str, outcome_id: str, second: int, *, success: bool, source: str = "a") -> bytes:
    at = f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}Z"
    said = {"occurred_at": at, "source": source, "success": success}
    return json.dumps({"outcome_id": outcome_id, "call_id": name, **said}).encode()


def ran(outcomes: Sequence[bytes], cuts: Sequence[int] = ()) -> Watched:
    direct = Watched(JoinRules(86_400_000_000, 0, 86_400_000_000))
    direct.run(History(RULES_OF_A_DAY, (File("calls", (call("c"),)), File("outcomes", tuple(outcomes)))), cuts, [])
    return direct


@pytest.mark.parametrize("outcome_id", ["o", UUIDS[1], UUIDS[0].replace("4000-8000", "0000-0000"), "0" * 32])
@pytest.mark.parametrize("cuts", [(), (2,), (2, 3)])
def test_an_id_that_comes_again_is_a_duplicate_or_a_conflict(outcome_id: str, cuts: tuple[int, ...]) -> None:
    """In the batch of the first one, or later; ids that are packed and others; in columns."""
    again = outcome("c", outcome_id, 1, success=True)
    others = [outcome("c", outcome_id, 1, success=False), outcome("c", "other", 2, success=True)]
    direct = ran([again, again, *others], cuts)
    assert (direct.tally["outcomes"], direct.tally["duplicates"]) == (2, 1)
    assert direct.dead == {("conflict", "c"): 1}
    assert direct.newest["c"]["seq"] == 2
    assert direct.judged


@pytest.mark.parametrize("size", [MOST_IN_COLUMNS, MOST_IN_COLUMNS + 1, 5 * MOST_IN_COLUMNS])
@pytest.mark.parametrize("at_once", [False, True])
def test_a_very_long_ledger_is_read_record_by_record(size: int, at_once: bool) -> None:  # noqa: FBT001
    """Each further statement would have its chain gathered step by step."""
    outcomes = [outcome("c", f"o{n}", n, success=n % 3 > 0) for n in range(size)]
    direct = ran([*outcomes, outcome("c", "last", size, success=False)], [*([] if at_once else [90]), size + 1])
    held = next(direct.joins[shard].shard.held for shard in SHARDS if len(direct.joins[shard].shard.held))
    assert bool(held.calls.traits[held.index.rows()].item() & IS_LONG) == (size + 1 > MOST_IN_COLUMNS)
    assert direct.verdicts["c", 1767225600_000_000][2:] == (
        "failure",
        None,
        "a",
        1767225600_000_000 + size * 1_000_000,
        size + 1,
        sum(1 for n in range(1, size) if (n % 3 > 0) != ((n - 1) % 3 > 0)) + ((size - 1) % 3 > 0),
    )


def test_authors_that_no_held_statement_has_are_forgotten() -> None:
    """`author` is free text; those of statements that are held keep their names."""
    signed = json.loads(outcome("c", "o", 1, success=True)) | {"author": "ann"}
    direct = ran([json.dumps(signed).encode(), outcome("c", "p", 2, success=True)])
    for name, join in direct.joins.items():
        for n in range(5000):
            join.shard.authors.code(f"{n}")
        direct.joins[name] = Join.from_state(join.state(), direct.rules)
    assert max(len(join.shard.authors) for join in direct.joins.values()) < 5000
    (held,) = (join.shard for join in direct.joins.values() if len(join.shard.held))
    statements = held.held.statements
    authors = [held.authors.names[code] for code in statements.author[statements.used_rows()].tolist()]
    assert sorted(authors) == ["", "ann"]
