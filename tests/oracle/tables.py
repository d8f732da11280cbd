"""The rows of the snapshot's tables, as plain dictionaries; times in microseconds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from oracle.ledger import opinions, revisions, says, standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oracle.held import Counted, Held
    from oracle.records import Rules

GRAIN_US = {"1h": 3_600_000_000, "1d": 86_400_000_000}


def call_row(held: Held) -> dict[str, Any]:
    """One row of the table `calls`."""
    call, verdict = held.call, held.verdict()
    return {
        "call_id": call.call_id,
        "attempt": 0,
        "occurred_at": call.at,
        "task_type": call.task_type,
        "model": call.model,
        "config": call.config,
        "segment": call.segment,
        "session_id": call.session_id,
        "latency_ms": call.latency_ms,
        "cost_usd": call.cost_usd,
        "tokens": call.tokens,
        "error": call.error,
        "attrs": dict(call.attrs or {}),
        "verdict": verdict.verdict,
        "score": verdict.score,
        "verdict_source": verdict.source,
        "verdict_at": verdict.decided_at,
        "statements": len(held.ledger),
        "revisions": revisions(call, held.statements(), held.rules),
    }


def attempt_rows(held: Held) -> list[dict[str, Any]]:
    """The rows of the failed attempts of one call, in the same table."""
    shared = {name: getattr(held.call, name) for name in ("call_id", "task_type", "segment", "session_id")}
    return [
        {
            **shared,
            "attempt": number,
            "occurred_at": held.call.at,
            "model": attempt.model,
            "config": held.group_of(attempt)[2],
            "latency_ms": attempt.latency_ms,
            "cost_usd": attempt.cost_usd,
            "tokens": None,
            "error": attempt.error,
            "attrs": {},
            "verdict": "failure",
            "score": None,
            "verdict_source": "call",
            "verdict_at": held.call.at,
            "statements": 0,
            "revisions": 0,
        }
        for attempt, number, _ in held.tried
    ]


def statement_rows(held: Held) -> list[dict[str, Any]]:
    """The rows of one call in the table `statements`, in the order of its ledger."""
    stand = standing(held.statements(), held.rules)
    return [
        {
            "call_id": s.call_id,
            "outcome_id": s.outcome_id,
            "edition": s.edition,
            "source": s.source,
            "author": s.author,
            "occurred_at": s.at,
            "action": s.action,
            # What the statement asserts, by itself or through its score; a retraction or an abstention asserts nothing.
            "success": says(s, held.rules) if s.action == "assert" else None,
            "score": s.score,
            "reason": s.reason,
            "scorer": s.scorer,
            "stands": s in stand,
        }
        for s in held.statements()
    ]


def rate_rows(grain: str, calls: Iterable[Held]) -> list[dict[str, Any]]:
    """The counts of the table `rates` for grain "1h" or "1d"; cost in nanos."""
    windows: dict[tuple[str, str, str, int], list[Counted]] = {}
    for held in calls:
        for counted in held.counted():
            start = counted.at // GRAIN_US[grain] * GRAIN_US[grain]
            windows.setdefault((*counted.group, start), []).append(counted)
    return [rate_row(grain, key, windows[key]) for key in sorted(windows)]


def rate_row(grain: str, key: tuple[str, str, str, int], counted: Sequence[Counted]) -> dict[str, Any]:
    """One row of the table `rates`."""
    verdicts = Counter(one.verdict for one in counted)
    resolved = verdicts["success"] + verdicts["failure"]
    return {
        "task_type": key[0],
        "model": key[1],
        "config": key[2],
        "grain": grain,
        "window_start": key[3],
        "calls": len(counted),
        "resolved": resolved,
        "successes": verdicts["success"],
        "failures": verdicts["failure"],
        "expired": verdicts["expired"],
        "pending": verdicts["pending"],
        "rate": verdicts["success"] / resolved if resolved else None,
        "cost_nano": sum(round((one.cost_usd or 0.0) * 1e9) for one in counted),
    }


def segment_rate_rows(grain: str, calls: Iterable[Held], rules: Rules) -> list[dict[str, Any]]:
    """The counts of the table `segment_rates`: those of `rates`, of the calls of each segment alone."""
    by_segment: dict[str, list[Held]] = {}
    for held in calls:
        segment = rules.counted_segment(held.call.task_type, held.call.segment)
        if segment is not None:
            by_segment.setdefault(segment, []).append(held)
    return [{"segment": name, **row} for name in sorted(by_segment) for row in rate_rows(grain, by_segment[name])]


def source_rate_rows(grain: str, calls: Iterable[Held]) -> list[dict[str, Any]]:
    """The counts of the table `source_rates`: what each source says of the calls on which it says something."""
    windows: dict[tuple[str, str, str, str, int], list[bool]] = {}
    for held in calls:
        start = held.call.at // GRAIN_US[grain] * GRAIN_US[grain]
        for source, one in opinions(held.arrived(), held.rules).items():
            windows.setdefault((*held.group, source, start), []).append(one.success)
    return [
        {
            "task_type": task_type,
            "model": model,
            "config": config,
            "source": source,
            "grain": grain,
            "window_start": start,
            "resolved": len(said),
            "successes": sum(said),
            "failures": len(said) - sum(said),
            "rate": sum(said) / len(said),
        }
        for (task_type, model, config, source, start), said in sorted(windows.items())
    ]
