"""Makes statements on one call, and an oracle that has read them."""

from __future__ import annotations

from dataclasses import replace

from oracle.ledger import decide
from oracle.records import MINUTE_US, NEVER, Call, Outcome, Record, Rules
from oracle.replay import Oracle

H = 30 * MINUTE_US
LATENESS = 10 * MINUTE_US
T = 1_000_000 * MINUTE_US
M = T // MINUTE_US
CALL = Call("c", T)
BASE = Rules(horizon_us=H, allowed_lateness_us=LATENESS, precedence=("human", "judge"))
REVISES = replace(BASE, revises=frozenset({"user"}))


def vote(
    outcome_id: str,
    at: int,
    success: bool | None = True,  # noqa: FBT001, FBT002
    *,
    score: float | None = None,
    source: str = "user",
    author: str | None = None,
    edition: int = 1,
) -> Outcome:
    """A statement on CALL, `at` microseconds after it."""
    return Outcome(outcome_id, "c", T + at, source, success, score, author=author, edition=edition)


def retract(
    outcome_id: str,
    at: int,
    target: str | None = None,
    *,
    source: str = "user",
    author: str | None = None,
    edition: int = 1,
) -> Outcome:
    """A retraction on CALL."""
    return Outcome(outcome_id, "c", T + at, source, action="retract", retracts=target, author=author, edition=edition)


def scored(outcome_id: str, at: int, score: float, *, source: str = "user", author: str | None = None) -> Outcome:
    """A score without `success`."""
    return vote(outcome_id, at, None, score=score, source=source, author=author)


def bare(outcome_id: str, at: int, *, author: str | None = None) -> Outcome:
    """Neither `success` nor `score`."""
    return vote(outcome_id, at, None, author=author)


def fed(*records: Record | tuple[Record, int], rules: Rules, wm: int = NEVER) -> Oracle:
    """An oracle after records, each at the watermark NEVER or its own, finished at `wm`."""
    oracle = Oracle(rules)
    for entry in records:
        record, before = entry if isinstance(entry, tuple) else (entry, NEVER)
        oracle.feed(record, before)
    oracle.finish(wm)
    return oracle


def judged(*statements: Outcome, rules: Rules, call: Call = CALL) -> tuple[str, str | None, str | None, int | None]:
    """Verdict, source, the outcome it rests on, and when, as microseconds after the call."""
    found = decide(call, statements, rules)
    return found.verdict, found.source, found.outcome_id, None if found.decided_at is None else found.decided_at - T


def editions(oracle: Oracle) -> list[tuple[str, int, int, bool]]:
    """(id, edition, microseconds after the call, stands) in the order of the ledger."""
    return [
        (row["outcome_id"], row["edition"], row["occurred_at"] - T, row["stands"]) for row in oracle.statements_rows()
    ]
