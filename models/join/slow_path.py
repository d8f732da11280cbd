"""The slow path through the join: record by record, for what is not read in columns.

A retraction, a repeated call, an early or late outcome, a call with an `error`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np

from aftercall.times import MINUTE_US, NEVER
from models.arrays import I32, I64, U64
from models.join.arrivals import CallColumns, OutcomeColumns
from models.join.call_places import CallPlaces
from models.join.completions import Filled, filled_latency
from models.join.contents import ERROR_BIT, KNOWN, UNKNOWN_NAME, Contents, differing, filled_by
from models.join.deltas import Deltas
from models.join.dispatch import Dispatch
from models.join.early_outcomes import EarlyOutcome, EarlyOutcomes
from models.join.held_calls import fold_digest
from models.join.joined import Judgement, Refusal, StatementRow
from models.join.judging import statement_of
from models.join.ledger import Statement
from models.join.open_ledger import OpenLedger
from models.join.open_ledgers import OpenLedgers
from models.join.second_records import DUPLICATE, Problem, problem_of
from models.join.shard_state import ShardState
from models.join.spoken import Spoken
from models.side_messages import ContractFailure, JudgedBatch
from models.watermark import effective_minute

_FALLBACK: Final = " (a call that fell back to another model is one record, with the models that failed in 'attempts')"
_MOST_AT_ONCE: Final = 10_000
"""So many outcomes whose wait is over become dead letters in one batch, at most."""


class SlowResults(NamedTuple):
    """What the slow path did; `accepted` indexes the batch's calls."""

    accepted: I64
    completed: Filled
    judgements: list[Judgement]
    statements: list[StatementRow]
    refused: list[Refusal]
    tally: Counter[str]


class Bound(NamedTuple):
    """How many early outcomes may wait.

    Attributes:
        most: their number. Where there are more, the oldest become orphans, but only those that the calls have passed:
        before: with an event time before this, us.
    """

    most: int
    before: int


class SlowPath:
    """The slow path of one batch."""

    def __init__(
        self,
        shard: ShardState,
        early: EarlyOutcomes,
        deltas: Deltas,
        partitions: list[str],
        bound: Bound,
        spoken: Spoken | None = None,
        judged: JudgedBatch | None = None,
    ) -> None:
        """Differences go to `deltas`; `partitions` are the batch's, for dead letters; `bound` is that of `early`."""
        self._bound, self._spoken, self._judged = bound, spoken, judged
        self._shard = shard
        self._early = early
        self._deltas = deltas
        self._partitions = partitions
        self._accepted: list[int] = []
        self._completed: list[tuple[int, ...]] = []
        self._refused: list[Refusal] = []
        self._tally: Counter[str] = Counter()
        self._ledgers = OpenLedgers(shard, deltas, self._tally)

    def run(self, calls: CallColumns, outcomes: OutcomeColumns, dispatch: Dispatch) -> None:
        """Apply the records that take the slow path, in reading order."""
        slow_calls, slow_outcomes = np.flatnonzero(~dispatch.fast_calls), np.flatnonzero(~dispatch.fast_outcomes)
        if not len(slow_calls) and not len(slow_outcomes):
            return
        # What the fast path has changed of these calls is that it holds some that are new, at rows that are known.
        rows = np.unique(np.concatenate((dispatch.call_rows[slow_calls], dispatch.outcome_rows[slow_outcomes])))
        self._ledgers.load(rows[rows >= 0], _call_ids(calls, slow_calls) | _call_ids(outcomes, slow_outcomes))
        no_statements: repeat[Statement | None] = repeat(None, len(slow_calls))
        turns = [
            *_turns(calls, slow_calls, no_statements),
            *_turns(outcomes, slow_outcomes, _statements(outcomes, slow_outcomes)),
        ]
        for _, i, key, wm, statement in sorted(turns):
            if statement is None:
                self._call(calls, i, key, wm)
            elif self._spoken is not None and self._spoken.made[i]:
                self._speak(self._spoken, i, key, statement)
            else:
                self._outcome(outcomes, i, key, wm, statement)
        self._ledgers.finish()
        if self._accepted:
            self._add_calls(calls, np.array(self._accepted, np.int64))

    def refuse_conflicts(self, outcomes: OutcomeColumns, details: dict[int, str]) -> None:
        """Refuse outcomes that have the id of another one of their call and differ from it; why, by their index."""
        for i, detail in details.items():
            self._refuse("conflict", detail, outcomes, i)

    def close(self, rows: I32) -> None:
        """Close held calls that have a ledger outside the columns in which no assertion stands."""
        self._ledgers.close_rows(rows)

    def finish(self, watermark: int, *, last: bool) -> SlowResults:
        """End the batch: early outcomes whose wait is over become dead letters.

        Many of them are left to later batches, unless this one is the `last`: a million dead letters at once would fill
        the memory. Meanwhile they wait for nothing: a record about their call ends their wait first.
        """
        self._refuse_orphans(self._early.pop_expired(watermark, None if last else _MOST_AT_ONCE))
        accepted = np.array(self._accepted, np.int64)
        completed, ledgers = Filled.of(self._completed), self._ledgers
        return SlowResults(accepted, completed, ledgers.judgements, ledgers.statements, self._refused, self._tally)

    def make_room(self, bound: Bound) -> None:
        """Give up the oldest early outcomes until no more wait than may, or the calls have not passed the oldest."""
        while len(self._early) > bound.most:
            at = self._early.oldest_at()
            if at is None or at >= bound.before:
                return
            self._tally["waiting"] -= 1
            self._refuse_early("orphan", "more than join.max_waiting outcomes wait", self._early.pop_oldest())

    def _add_calls(self, calls: CallColumns, accepted: I64) -> None:
        at = calls.at[accepted]
        minute = effective_minute(at, calls.wm[accepted])
        hashes = self._shard.homonyms.hashes(calls.key[accepted])
        latency_ms, cost_nano, tokens = calls.latency_ms[accepted], calls.cost_nano[accepted], calls.tokens[accepted]
        places = CallPlaces(calls.group[accepted], at, minute)
        self._deltas.add_calls(places, minute, latency_ms, cost_nano, tokens, hashes)

    def _call(self, calls: CallColumns, i: int, key: int, wm: int) -> None:
        ledger = self._open_ledger(key, wm)
        differs = None if ledger is None else self._differs(ledger, calls, i)
        if ledger is not None and differs is None:
            # Checked before the age: a record of a held call is not too old, whatever settings apply to new calls.
            self._complete(ledger, calls, i, wm)
        elif calls.at.item(i) + self._shard.hold_us(calls.group.item(i)) < wm:
            self._refuse("too_old", "the call arrived after it would have closed", calls, i)
        elif differs is not None:
            self._refuse("conflict", differs, calls, i)
        else:
            self._accept(calls, i, key, wm)

    def _differs(self, ledger: OpenLedger, calls: CallColumns, i: int) -> str | None:
        """Why a record is not one of the same call; None where it is."""
        at, group = calls.at.item(i), calls.group.item(i)
        if not ledger.contents.filled & KNOWN:
            same = (ledger.at, ledger.contents.names) == (at, fold_digest(calls.digest.item(i)))
            return None if same else "another call has this call_id"
        groups = self._shard.groups[ledger.group], self._shard.groups[group]
        field = differing(ledger.contents, _contents(calls, i), at - ledger.at, groups)
        if field is None:
            return None
        remedy = _FALLBACK if field in {"model", UNKNOWN_NAME} else ""
        return f"another call has this call_id: its '{field}' differs{remedy}"

    def _complete(self, ledger: OpenLedger, calls: CallColumns, i: int, wm: int) -> None:
        """Fill what a call has not; a record that fills nothing is a duplicate."""
        at, contents = calls.at.item(i), _contents(calls, i)
        is_known = ledger.contents.filled & KNOWN
        new = filled_by(ledger.contents, contents, at - ledger.at) if is_known else 0
        if not new:
            self._tally["duplicates"] += 1
            return
        error, had = calls.records[i].error if new & ERROR_BIT else None, ledger.contents.filled
        ledger.complete(contents._replace(filled=contents.filled | new), error, max(at, wm) // MINUTE_US)
        place = ledger.group, ledger.at, ledger.minute
        self._completed.append((i, *place, new, ledger.unit, had, ledger.facets))
        self._tally["completed"] += 1
        if self._judged is not None and self._judged.may_state[i]:
            latency_ms = filled_latency(calls.latency_ms.item(i), new, at - ledger.at)
            group = self._shard.groups[ledger.group]
            failures = self._judged.completing(i, group, ledger.at, had, latency_ms)
            self._state_failures(ledger, failures, max(at, wm) // MINUTE_US)

    def _accept(self, calls: CallColumns, i: int, key: int, wm: int) -> None:
        """Hold a new call, and enter the early outcomes that waited for it."""
        shard, at, group, record = self._shard, calls.at.item(i), calls.group.item(i), calls.records[i]
        ledger = OpenLedger(
            key=key,
            row=-1,
            call_id=record.call_id,
            group=group,
            at=at,
            minute=max(at, wm) // MINUTE_US,
            version=shard.version,
            contents=_contents(calls, i),
            error=record.error,
            statements=[],
            rules=shard.rules,
            task=shard.groups[group][0],
            unit=calls.unit.item(i),
            facets=calls.facets.item(i),
        )
        self._ledgers.add(ledger)
        self._accepted.append(i)
        self._tally["calls"] += 1
        if self._judged is not None and self._judged.states[i]:
            self._state_failures(ledger, self._judged.failures(i), ledger.minute)
        for outcome in self._early.pop(key):
            self._tally["waiting"] -= 1
            problem = self._enter(ledger, outcome.statement)
            if problem is not None:
                self._refuse_early(*problem, outcome)

    def _state_failures(self, ledger: OpenLedger, failures: Sequence[ContractFailure], minute: int) -> None:
        """Enter violations of contracts into a ledger; of one contract the first that is found is its statement."""
        for failure in failures:
            if ledger.first(failure.outcome_id) is None:
                ledger.violates = True
                ledger.enter(statement_of(failure, ledger.at, minute))

    def _outcome(self, outcomes: OutcomeColumns, i: int, key: int, wm: int, statement: Statement) -> None:
        ledger = self._open_ledger(key, wm)
        problem = self._buffer(key, statement, outcomes, i) if ledger is None else self._enter(ledger, statement)
        if problem is not None:
            self._refuse(*problem, outcomes, i)

    def _speak(self, spoken: Spoken, i: int, key: int, statement: Statement) -> None:
        """Enter what a session says; its identity was decided there."""
        ledger = self._ledgers.get(key)
        if (
            ledger is None
            or ledger.closes < spoken.passed.item(i)
            or ledger.contents.session != spoken.session.item(i)
            or statement.at > ledger.horizon_ends
        ):
            self._tally["session_late"] += 1
        else:
            ledger.said_twice |= ledger.first(statement.outcome_id) is not None
            ledger.enter(statement)

    def _open_ledger(self, key: int, wm: int) -> OpenLedger | None:
        """The ledger of a held call as a record with this watermark meets it; None if none is held (any more)."""
        if expired := self._early.pop_expired_for(key, wm):
            self._refuse_orphans(expired)
        ledger = self._ledgers.get(key)
        if ledger is not None and ledger.closes < wm:
            self._ledgers.close(ledger)
            return None
        return ledger

    def _enter(self, ledger: OpenLedger, statement: Statement) -> Problem | None:
        """Enter a statement into a ledger; returns why not where it is refused."""
        if statement.at > ledger.horizon_ends:
            return "late", "the statement is later than the call's horizon"
        first = ledger.first(statement.outcome_id)
        if first is not None or statement.bare:
            problem = problem_of(statement, first, repeats=ledger.has(statement), rules=ledger.rules.verdict)
            if problem is not None:
                return self._counted(problem)
        ledger.enter(statement)
        self._tally["outcomes"] += 1
        return None

    def _buffer(self, key: int, statement: Statement, outcomes: OutcomeColumns, i: int) -> Problem | None:
        """Buffer an outcome whose call is not held; returns why not where it is refused."""
        wm, call_at, rules = outcomes.wm.item(i), outcomes.call_at.item(i), self._shard.rules
        if call_at != NEVER and call_at + rules.longest_hold() < wm:
            return "late", "its call, by call_occurred_at, has closed"
        first, repeats = self._early.first(key, statement.outcome_id), self._early.has(key, statement)
        problem = problem_of(statement, first, repeats=repeats, rules=rules.verdict)
        if problem is not None:
            return self._counted(problem)
        raw: bytes = outcomes.raw[i]
        mine = slice(i, i + 1)
        ends = rules.waits_until(outcomes.at[mine], outcomes.wm[mine], outcomes.call_at[mine])
        outcome = EarlyOutcome(
            statement,
            outcomes.records[i].call_id,
            ends.item(),
            self._partitions[outcomes.partition.item(i)],
            outcomes.offset.item(i),
            len(raw),
            hashlib.sha256(raw).hexdigest(),
        )
        self._early.add(key, outcome, _words(outcomes.call_uuid, i), _words(outcomes.uuid, i))
        self._tally["waiting"] += 1
        if len(self._early) > self._bound.most:
            self._refuse_orphans(self._early.pop_expired(wm))
            self.make_room(self._bound)
        return None

    def _counted(self, problem: Problem) -> Problem | None:
        """The problem; None where the record is a duplicate, which is counted."""
        if problem is DUPLICATE:
            self._tally["duplicates"] += 1
            return None
        return problem

    def _refuse(self, reason: str, detail: str, columns: CallColumns | OutcomeColumns, i: int) -> None:
        raw: bytes = columns.raw[i]
        call_id, partition = columns.records[i].call_id, self._partitions[columns.partition.item(i)]
        self._add_refusal(Refusal(reason, detail, call_id, partition, columns.offset.item(i), raw, len(raw), ""))

    def _refuse_orphans(self, expired: Iterable[EarlyOutcome]) -> None:
        for outcome in expired:
            self._tally["waiting"] -= 1
            self._refuse_early("orphan", "its call did not come within orphan_wait", outcome)

    def _refuse_early(self, reason: str, detail: str, outcome: EarlyOutcome) -> None:
        _, call_id, _, partition, offset, size, sha256 = outcome
        self._add_refusal(Refusal(reason, detail, call_id, partition, offset, None, size, sha256))

    def _add_refusal(self, refusal: Refusal) -> None:
        self._refused.append(refusal)
        self._tally["dead_letters"] += 1
        if refusal.reason in {"orphan", "conflict"}:
            self._tally[refusal.reason + "s"] += 1
        elif refusal.reason == "late":
            self._tally["late"] += 1


def _contents(calls: CallColumns, i: int) -> Contents:
    """What a record has."""
    columns = (calls.names, calls.segment, calls.session, calls.error)
    return Contents(calls.filled.item(i) | KNOWN, *(column.item(i) for column in columns))


def _words(uuids: U64, i: int) -> tuple[int, int]:
    return uuids.item(i, 0), uuids.item(i, 1)


def _call_ids(columns: CallColumns | OutcomeColumns, chosen: I64) -> dict[int, str]:
    """The call's id by its key, as the chosen records have it."""
    ids = (record.call_id for record in columns.records[chosen])
    return dict(zip(columns.key[chosen].tolist(), ids, strict=True))


def _turns(
    columns: CallColumns | OutcomeColumns, chosen: I64, statements: Iterable[Statement | None]
) -> Iterator[tuple[int, int, int, int, Statement | None]]:
    """(place in the batch, index, key, watermark, statement) of the chosen records; sorts by the first, distinct."""
    places, keys, wm = columns.pos[chosen].tolist(), columns.key[chosen].tolist(), columns.wm[chosen].tolist()
    return zip(places, chosen.tolist(), keys, wm, statements, strict=True)


def _statements(outcomes: OutcomeColumns, chosen: I64) -> Iterator[Statement]:
    """The chosen outcomes as statements."""
    at = outcomes.at[chosen]
    minutes = effective_minute(at, outcomes.wm[chosen]).tolist()
    signed = outcomes.author[chosen] != 0
    for record, time, minute, is_signed in zip(
        outcomes.records[chosen], at.tolist(), minutes, signed.tolist(), strict=True
    ):
        yield Statement(
            time,
            record.outcome_id,
            record.source,
            record.success,
            record.score,
            record.action == "retract",
            record.retracts,
            record.reason,
            minute,
            record.author if is_signed else None,
            scorer=record.scorer,
        )
