"""Turns the results of the join into snapshot rows and records on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, cast

import orjson

from aftercall.records import seal_json
from aftercall.times import NEVER, format_time
from connectors.snapshot.tables import LOGS
from flows.dataflow.snapshot_messages import Row
from models.drift import Suspicions
from models.join import BITS, PENDING, Joined, Judged, Judgement

_KEPT = sum(BITS[name] for name in (*LOGS["completions"], "rollout") if name in BITS)
_NAMES = ("failure", "success", "expired")
"""Verdicts, indexed by `success`: 0, 1, and -1, which is the last element."""


def suspicion_rows(found: Suspicions) -> list[Row]:
    """Rows of the table `suspicions`."""
    return [
        (
            found.as_of,
            *one.group,
            "success_rate",
            one.direction,
            one.baseline,
            one.current,
            one.trials,
            one.changed_at,
            one.strength,
            one.odds,
        )
        for one in found.listed
    ]


def call_rows(joined: Joined) -> list[Row]:
    """Rows of the table `calls`, without the verdict."""
    return [
        (
            call.call_id,
            at,
            call.task_type,
            call.model,
            call.config,
            call.segment,
            call.session_id,
            call.latency_ms,
            call.cost_usd,
            _tokens(call),
            call.error,
            None if call.attrs is None else orjson.dumps(call.attrs).decode(),
            call.parent_call_id,
            call.recommendation_id,
            call.propensity,
            call.policy_version,
            None if (rollout := call.rollout) is None else rollout.id,
            None if rollout is None else rollout.arm,
            None if rollout is None else rollout.step,
            call.tokens_in,
            call.tokens_out,
            len(tools) if type(tools := call.tool_calls) is list else tools,
        )
        for call, at in zip(joined.accepted.tolist(), joined.accepted_at.tolist(), strict=True)
    ]


def completion_rows(joined: Joined) -> list[Row]:
    """Rows of the log `completions`: of each completion what it filled that is kept."""
    completed = joined.completed
    return [
        (
            call.call_id,
            call_at,
            call.session_id if new & BITS["session_id"] else None,
            latency_ms if new & BITS["latency_ms"] else None,
            call.cost_usd if new & BITS["cost_usd"] else None,
            _tokens(call) if new & BITS["tokens"] else None,
            call.error if new & BITS["error"] else None,
            orjson.dumps(call.attrs).decode() if new & BITS["attrs"] else None,
            call.parent_call_id if new & BITS["parent_call_id"] else None,
            call.recommendation_id if new & BITS["recommendation_id"] else None,
            call.propensity if new & BITS["propensity"] else None,
            call.policy_version if new & BITS["policy_version"] else None,
            *_rollout(call.rollout if new & BITS["rollout"] else None),
            *((call.tokens_in, call.tokens_out) if new & BITS["tokens"] else (None, None)),
            _number_of_tools(call.tool_calls, new),
        )
        for call, call_at, new, latency_ms in zip(
            completed.records,
            completed.call_at.tolist(),
            completed.new.tolist(),
            completed.latency_ms.tolist(),
            strict=True,
        )
        if new & _KEPT or type(call.tool_calls) is int
    ]


def _number_of_tools(tools: Any, new: int) -> int | None:
    """What a completion says of them; a number alone fills nothing: the greatest that is said of a call is shown."""
    if type(tools) is list:
        return len(tools) if new & BITS["tool_calls"] or not tools else None
    return cast("int | None", tools)


def attempt_rows(joined: Joined) -> list[Row]:
    """Rows of the log `attempts`: of each failed attempt what its call does not have."""
    return [
        (a.call_id, a.call_at, a.attempt, a.group[1], a.group[2], a.latency_ms, a.cost_usd, a.error)
        for a in joined.attempts
    ]


def verdict_rows(joined: Joined) -> list[Row]:
    """The verdict columns of the table `calls`, by (call_id, time of the call)."""
    first = joined.first
    rows: list[Row] = [
        (r.call_id, call_at, _NAMES[success], r.score, r.source, at, 1, 0)
        for r, call_at, at, success in zip(
            first.records, first.call_at.tolist(), first.at.tolist(), first.success.tolist(), strict=True
        )
    ]
    expired = joined.expired
    rows += [
        (call_id, call_at, _NAMES[success], None, _silence(success), _time(decided), 0, 0)
        for call_id, call_at, decided, success in zip(
            expired.call_id,
            expired.call_at.tolist(),
            expired.decided_at.tolist(),
            expired.success.tolist(),
            strict=True,
        )
    ]
    rows += [
        (j.call_id, j.call_at, j.verdict, j.score, j.source, _time(j.decided_at), j.statements, j.revisions)
        for j in chain(judged(joined), joined.judgements)
    ]
    return rows


def statement_rows(joined: Joined) -> list[Row]:
    """Rows of the table `statements`: new ones, and old ones whose `stands` has changed."""
    first = joined.first
    rows: list[Row] = [
        (
            r.call_id,
            call_at,
            r.outcome_id,
            1,
            r.source,
            None,
            at,
            "assert",
            success == 1,
            r.score,
            r.reason,
            r.scorer,
            True,
        )
        for r, call_at, at, success in zip(
            first.records, first.call_at.tolist(), first.at.tolist(), first.success.tolist(), strict=True
        )
    ]
    rows += chain.from_iterable(map(_judged_statements, joined.judged))
    rows += [
        (
            s.call_id,
            s.call_at,
            s.outcome_id,
            s.edition,
            s.source,
            s.author,
            s.at,
            "retract" if s.retract else "assert",
            s.success,
            s.score,
            s.reason,
            s.scorer,
            s.stands,
        )
        for s in joined.statements
    ]
    return rows


def verdict_records(joined: Joined) -> Iterator[tuple[str, bytes]]:
    """(key, JSON) of `agent.verdicts`, in the field order of `aftercall.records.VerdictRecord`."""
    first = joined.first
    for r, code, call_at, at, success in zip(
        first.records,
        first.code.tolist(),
        first.call_at.tolist(),
        first.at.tolist(),
        first.success.tolist(),
        strict=True,
    ):
        yield (
            r.call_id,
            _verdict_json(
                Judgement(
                    r.call_id,
                    first.group[code],
                    call_at,
                    _NAMES[success],
                    r.score,
                    r.source,
                    r.outcome_id,
                    r.reason,
                    at,
                    1,
                    1,
                    0,
                )
            ),
        )
    for judgement in chain(judged(joined), joined.judgements):
        if judgement.is_news:
            yield judgement.call_id, _verdict_json(judgement)
    # An id may return once its call has closed: of two calls of one id in one batch the later one closes here.
    expired = joined.expired
    for call_id, code, call_at, decided, success in zip(
        expired.call_id,
        expired.code.tolist(),
        expired.call_at.tolist(),
        expired.decided_at.tolist(),
        expired.success.tolist(),
        strict=True,
    ):
        group, source = expired.group[code], _silence(success)
        yield (
            call_id,
            _verdict_json(
                Judgement(call_id, group, call_at, _NAMES[success], None, source, None, None, decided, 1, 0, 0)
            ),
        )


def judged(joined: Joined) -> Iterator[Judgement]:
    """The verdicts that came as columns, one by one."""
    return chain.from_iterable(map(_judgements, joined.judged))


def _judgements(columns: Judged) -> Iterator[Judgement]:
    stated = columns.stated
    ids, sources = stated.outcome_ids, stated.source.tolist()
    for call_id, code, call_at, success, by, decided_at, score, statements, revisions in zip(
        columns.call_ids,
        columns.code.tolist(),
        columns.call_at.tolist(),
        columns.success.tolist(),
        columns.by.tolist(),
        columns.decided_at.tolist(),
        columns.score.tolist(),
        columns.statements.tolist(),
        columns.revisions.tolist(),
        strict=True,
    ):
        yield Judgement(
            call_id,
            columns.group[code],
            call_at,
            "pending" if by < 0 else _NAMES[success],
            _score(score),
            None if by < 0 else columns.sources[sources[by]],
            None if by < 0 else ids[by],
            None if by < 0 else stated.reasons.get(by),
            decided_at,
            statements,
            statements,
            revisions,
        )


def _judged_statements(columns: Judged) -> Iterator[Row]:
    stated = columns.stated
    call_at = columns.call_at.tolist()
    for place, call, outcome_id, edition, source, author, at, success, score, stands, shown in zip(
        range(len(stated.call)),
        stated.call.tolist(),
        stated.outcome_ids,
        stated.edition.tolist(),
        stated.source.tolist(),
        stated.author.tolist(),
        stated.at.tolist(),
        stated.success.tolist(),
        stated.score.tolist(),
        stated.stands.tolist(),
        stated.shown.tolist(),
        strict=True,
    ):
        if shown:
            yield (
                columns.call_ids[call],
                call_at[call],
                outcome_id,
                edition,
                columns.sources[source],
                columns.authors[author] or None,
                at,
                "assert",
                None if success < 0 else success == 1,
                _score(score),
                stated.reasons.get(place),
                stated.scorers.get(place),
                stands,
            )


def _score(score: float) -> float | None:
    return None if score != score else score  # noqa: PLR0124 (nan: absent)


def _verdict_json(j: Judgement) -> bytes:
    decided = j.decided_at != NEVER
    return seal_json(
        orjson.dumps(
            {
                "seq": j.seq,
                "call_id": j.call_id,
                "task_type": j.group[0],
                "model": j.group[1],
                "config": j.group[2],
                "verdict": j.verdict,
                "score": j.score,
                "source": j.source,
                "outcome_id": j.outcome_id,
                "reason": j.reason,
                "decided_at": format_time(j.decided_at) if decided else None,
                "age_s": (j.decided_at - j.call_at) / 1e6 if decided else None,
            }
        )
    )


def _tokens(call: Any) -> int | None:
    if call.tokens is not None:
        return int(call.tokens)
    parts = [count for count in (call.tokens_in, call.tokens_out) if count is not None]
    return sum(parts) if parts else None


def _rollout(rollout: Any) -> tuple[str | None, str | None, int | None]:
    return (None, None, None) if rollout is None else (rollout.id, rollout.arm, rollout.step)


def _silence(success: int) -> str | None:
    return None if success == PENDING else "silence"


def _time(us: int) -> int | None:
    return None if us == NEVER else us
