"""The delayed join of one shard: calls meet their outcomes, and every change of a verdict leaves as a difference.

Most records take the vectorised way: a new call, or the first outcome of a held call. Whatever is less common (a second
statement, a retraction, a duplicate, an early or late outcome, a call with an error) is a *case* and goes record by
record through `models.join.slow_path`, with the same rules. Which way a record takes depends on what else is in its
batch; the result does not.
"""

from __future__ import annotations

import pickle
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from aftercall.errors import NEW_OUT
from aftercall.times import MINUTE_US, NEVER
from aftercall.vocabulary import DEFAULT_PASS_AT, SILENCE
from models.arrays import I8, I32, I64, Objects
from models.join.arrivals import Arrivals, CallColumns, OutcomeColumns
from models.join.deltas import Deltas
from models.join.early_outcomes import WaitingOutcomes
from models.join.fast_path import Periods, Ways, ways
from models.join.held_calls import FAILURE, HAS_CASE, NO_STATEMENT, PENDING, SUCCESS, HeldCalls
from models.join.open_ledgers import Judgement, StatementRow
from models.join.rules import JoinRules
from models.join.slow_path import Cases, Refusal
from models.join.watermark import LaneClocks
from models.messages import Changes, Erased, Group
from models.state import StateError, unpack

STATE_VERSION = 2
_MOST_VERSIONS = 255
"""A held call notes its rules in one byte."""
_MANY_NAMES = 1024

_reason = attrgetter("reason")


class FirstVerdicts(NamedTuple):
    """First outcomes of calls: the common verdicts, as columns. `records` are the outcome records."""

    records: Objects
    group: list[Group]
    code: I32
    call_at: I64
    at: I64
    success: I8


class Expired(NamedTuple):
    """Calls that closed without any statement. `success`: -1 expired (`decided_at` NEVER), else the silence verdict."""

    call_id: list[str]
    group: list[Group]
    code: I32
    call_at: I64
    decided_at: I64
    success: I8


class Joined(NamedTuple):
    """What one batch did in one shard."""

    changes: Changes
    accepted: Objects
    accepted_at: I64
    first: FirstVerdicts
    expired: Expired
    judgements: list[Judgement]
    statements: list[StatementRow]
    refused: list[Refusal]
    tally: dict[str, int]
    erased: Erased | None = None


class Join:
    """State of one shard. `process` takes each batch in turn; `state` and `from_state` carry it over a restart."""

    def __init__(self, rules: JoinRules) -> None:
        self.versions: list[JoinRules] = [rules]
        self.groups: list[Group] = []
        self.sources: list[str] = []
        self.held = HeldCalls(self._closing_times)
        self.watermark = NEVER
        self._lanes = LaneClocks()
        self._group_code: dict[Group, int] = {}
        self._source_code: dict[str, int] = {}
        self._hold = np.zeros((1, 1), np.int64)
        self._horizon = np.zeros((1, 1), np.int64)
        self._cases = Cases(self)

    @property
    def rules(self) -> JoinRules:
        """The rules for calls accepted now."""
        return self.versions[-1]

    @property
    def waiting(self) -> WaitingOutcomes:
        """Outcomes whose call has not come."""
        return self._cases.waiting

    def process(self, arrivals: Arrivals) -> Joined:
        """Apply one batch and close what its watermark has passed."""
        calls, outcomes = arrivals.calls, arrivals.outcomes
        deltas = Deltas(self.source_code)
        self._cases.begin(deltas, arrivals)
        others = self._lanes.others(arrivals.lane, arrivals.lanes)
        calls = calls._replace(group=self._local_groups(arrivals.groups, calls.group), wm=self._met(calls.wm, others))
        outcomes = outcomes._replace(
            source=self._local_sources(arrivals.sources, outcomes.source), wm=self._met(outcomes.wm, others)
        )
        awaited = self._cases.waiting.any_for(calls.key)
        periods = Periods(len(self.versions) - 1, self._hold[-1], self._horizon[-1])
        way = ways(calls, outcomes, self.held, awaited, periods)
        taken = np.flatnonzero(way.calls)
        rows = self._accept(calls, taken, way, deltas)
        first = self._first_verdicts(outcomes, np.flatnonzero(way.outcomes), rows, deltas)
        self._cases.run(calls, outcomes, way)
        self._advance(arrivals)
        expired = self._close(deltas)
        cases = self._cases.finish(self.watermark)
        tally = cases.tally
        tally["calls"] = tally.get("calls", 0) + len(taken)
        tally["outcomes"] = tally.get("outcomes", 0) + len(first.code)
        tally["expired"] = tally.get("expired", 0) + int(np.count_nonzero(expired.success == PENDING))
        good = int(np.count_nonzero(first.success == SUCCESS)) + int(np.count_nonzero(expired.success == SUCCESS))
        bad = int(np.count_nonzero(first.success == FAILURE)) + int(np.count_nonzero(expired.success == FAILURE))
        tally["successes"] = tally.get("successes", 0) + good
        tally["failures"] = tally.get("failures", 0) + bad
        fresh = np.concatenate((taken, cases.accepted)) if len(cases.accepted) else taken
        return Joined(
            changes=deltas.changes(arrivals.shard, self.watermark, self.groups, self.sources),
            accepted=calls.records[fresh],
            accepted_at=calls.at[fresh],
            first=first,
            expired=expired,
            judgements=cases.judgements,
            statements=cases.statements,
            refused=cases.refused,
            tally={name: count for name, count in tally.items() if count},
        )

    def rules_of(self, row: int) -> JoinRules:
        """The rules under which the call at `row` was accepted."""
        return self.versions[int(self.held.calls.rules[row])]

    def source_code(self, source: str) -> int:
        """The shard's code of a source."""
        code = self._source_code.get(source)
        if code is None:
            code = self._source_code[source] = len(self.sources)
            self.sources.append(source)
        return code

    def hold_us(self, group: int) -> int:
        """How long a call of this group is held under the rules for new calls."""
        return int(self._hold[-1, group])

    def state(self) -> bytes:
        """All of it as a pickle of plain values and arrays."""
        self._forget_names()
        return pickle.dumps(
            {
                "version": STATE_VERSION,
                "rules": [rules.plain() for rules in self.versions],
                "groups": self.groups,
                "watermark": self.watermark,
                "lanes": self._lanes.plain(),
                "held": self.held.state(self.sources),
                "waiting": self._cases.waiting.state(),
            },
            protocol=5,
        )

    @classmethod
    def from_state(cls, state: bytes, rules: JoinRules) -> Join:
        """The shard as it was; other `rules` than the last apply to calls accepted from now on.

        Raises:
            StateError: the state is of another version.
        """
        kept = unpack(state, "join", STATE_VERSION)
        join = cls(rules)
        versions = [JoinRules.from_plain(plain) for plain in kept["rules"]]
        join.versions = versions if versions[-1] == rules else [*versions, rules]
        if len(join.versions) > _MOST_VERSIONS:
            msg = (
                f"step 'join': settings that decide verdicts may change {_MOST_VERSIONS - 1} times in the life of a "
                f"state; this is one more (put the settings back, or {NEW_OUT})"
            )
            raise StateError(msg)
        join._learn_groups(kept["groups"])
        join.watermark, join._lanes = kept["watermark"], LaneClocks.from_plain(kept["lanes"])
        for source in kept["held"]["sources"]:
            join.source_code(source)
        join.held.restore(kept["held"])
        join._cases.waiting.restore(kept["waiting"])
        return join

    def _met(self, wm: I64, others: int) -> I64:
        """The watermark that each record met."""
        return np.maximum(np.minimum(wm, others), self.watermark)

    def _advance(self, arrivals: Arrivals) -> None:
        self._lanes.hear(arrivals.lane, arrivals.clock)
        self.watermark = max(self.watermark, self._lanes.watermark(arrivals.lanes))

    def _closing_times(self, rows: I32) -> I64:
        calls = self.held.calls
        return calls.at[rows] + self._hold[calls.rules[rows], calls.group[rows]]

    def _local_groups(self, groups: list[Group], codes: I32) -> I32:
        """The shard's codes for a batch's codes; only groups that occur in this shard are learned."""
        (here,) = np.bincount(codes, minlength=len(groups)).nonzero()
        local = np.zeros(len(groups), np.int32)
        local[here] = self._learn_groups([groups[code] for code in here.tolist()])
        return local[codes]

    def _learn_groups(self, groups: list[Group]) -> I32:
        new = [group for group in groups if group not in self._group_code]
        for group in new:
            self._group_code[group] = len(self.groups)
            self.groups.append(group)
        if len(self.groups) > self._hold.shape[1] or len(self.versions) > self._hold.shape[0]:
            room = max(64, len(self.groups) * 2)
            self._horizon = np.zeros((len(self.versions), room), np.int64)
            lateness = np.array([[rules.allowed_lateness_us] for rules in self.versions])
            for i, rules in enumerate(self.versions):
                self._horizon[i, : len(self.groups)] = [rules.horizon(group[0]) for group in self.groups]
            self._hold = self._horizon + lateness
        elif new:
            at = slice(len(self.groups) - len(new), len(self.groups))
            for i, rules in enumerate(self.versions):
                self._horizon[i, at] = [rules.horizon(group[0]) for group in new]
                self._hold[i, at] = self._horizon[i, at] + rules.allowed_lateness_us
        return np.fromiter(map(self._group_code.__getitem__, groups), np.int32, len(groups))

    def _local_sources(self, sources: list[str], codes: I32) -> I32:
        (here,) = np.bincount(codes, minlength=len(sources)).nonzero()
        local = np.zeros(len(sources), np.int32)
        local[here] = [self.source_code(sources[code]) for code in here.tolist()]
        return local[codes]

    def _forget_names(self) -> None:
        """Groups and sources that no held call has any more are forgotten, once they are most of all there are.

        `max_groups` bounds what is counted, not what producers may write into a name. The lists are replaced, not
        changed: messages under way still look at them.
        """
        rows = self.held.index.rows()
        table, singles = self.held.calls, self.held.singles
        groups, codes = np.unique(table.group[rows], return_inverse=True)
        if len(self.groups) > _MANY_NAMES and len(self.groups) > 2 * len(groups):
            kept = [self.groups[code] for code in groups.tolist()]
            table.group[:] = 0
            table.group[rows] = codes
            self.groups, self._group_code, self._hold = [], {}, np.zeros((0, 0), np.int64)
            self._learn_groups(kept)
        single = table.single[rows]
        single = single[single >= 0]
        sources, codes = np.unique(singles.source[single], return_inverse=True)
        if len(self.sources) > _MANY_NAMES and len(self.sources) > 2 * len(sources):
            kept_sources = [self.sources[code] for code in sources.tolist()]
            singles.source[:] = 0
            singles.source[single] = codes
            self.sources, self._source_code = [], {}
            for source in kept_sources:
                self.source_code(source)

    def _accept(self, calls: CallColumns, taken: I64, way: Ways, deltas: Deltas) -> I32:
        """Hold the simple calls; the rows of outcomes, now with those of calls of the same batch."""
        if not len(taken):
            return way.outcome_rows
        group, at = calls.group[taken], calls.at[taken]
        closes = at + self._hold[-1, group]
        new = self.held.add(calls.key[taken], closes)
        minute = effective_minute(at, calls.wm[taken])
        table = self.held.calls
        table.ids.put_words(new, calls.uuid[taken], lambda i: calls.records[taken[i]].call_id)
        table.at[new], table.group[new], table.minute[new] = at, group, minute
        table.verdict[new], table.rules[new] = PENDING, len(self.versions) - 1
        table.digest[new], table.single[new] = fold_digest(calls.digest[taken]), NO_STATEMENT
        latency_ms, cost_nano, tokens = calls.latency_ms[taken], calls.cost_nano[taken], calls.tokens[taken]
        deltas.add_calls(group, at, minute, latency_ms, cost_nano, tokens, calls.key[taken])
        row_of = np.full(len(calls.key), -1, np.int32)
        row_of[taken] = new
        return np.where(way.partner >= 0, row_of[way.partner], way.outcome_rows)

    def _first_verdicts(self, outcomes: OutcomeColumns, chosen: I64, rows: I32, deltas: Deltas) -> FirstVerdicts:
        """Apply first outcomes of clean calls."""
        row = rows[chosen]
        table, singles = self.held.calls, self.held.singles
        records = outcomes.records[chosen]
        source, score, at = outcomes.source[chosen], outcomes.score[chosen], outcomes.at[chosen]
        given = outcomes.success[chosen]
        success = np.where(given >= 0, given, self._passes(source, score)).astype(np.int8)
        minute = effective_minute(at, outcomes.wm[chosen])
        group, call_at = table.group[row], table.at[row]
        if len(chosen):
            single = singles.take_rows(len(chosen))
            singles.at[single], singles.source[single], singles.given[single] = at, source, given
            singles.score[single], singles.minute[single] = score, minute
            table.ids.drop(row)
            table.ids.put_words(row, outcomes.uuid[chosen], lambda i: records[i].outcome_id)
            reasons = list(map(_reason, records))
            if reasons.count(None) < len(reasons):
                told = zip(single.tolist(), reasons, strict=True)
                self.held.reasons.update((place, reason) for place, reason in told if reason is not None)
            table.single[row], table.verdict[row] = single, success
            deltas.add_verdicts(group, call_at, success, at)
            call_minute = table.minute[row]
            counts = np.maximum(minute, call_minute)
            deltas.add_trials(group, call_minute, counts, success, source)
            deltas.add_scores(group, counts, source, score)
        return FirstVerdicts(records, self.groups, group, call_at, at, success)

    def _passes(self, source: I32, score: Any) -> I8:
        """Success by score under the rules for new calls."""
        verdict = self.rules.verdict
        rules = [verdict.sources.get(name) for name in self.sources]
        pass_at = np.array([DEFAULT_PASS_AT if r is None else r.pass_at for r in rules] or [DEFAULT_PASS_AT])
        fail_at = np.array([np.nan if r is None or r.fail_at is None else r.fail_at for r in rules] or [np.nan])
        high_is_bad = ~np.isnan(fail_at[source])
        success: I8 = np.where(high_is_bad, score < fail_at[source], score >= pass_at[source]).astype(np.int8)
        return success

    def _close(self, deltas: Deltas) -> Expired:
        """Close what the watermark has passed; calls without statements leave as columns, the others as cases."""
        due = self.held.due(self.watermark)
        table = self.held.calls
        present = self.held.index.find(self.held.index.row_key[due]) == due
        alive = due[present]
        pending = alive[table.verdict[alive] == PENDING]
        ledgers = pending[table.single[pending] == HAS_CASE]
        if len(ledgers):
            self._cases.close(ledgers)
        bare = pending[table.single[pending] == NO_STATEMENT]
        group, call_at = table.group[bare], table.at[bare]
        silence = np.array([self._silence(int(row)) for row in bare.tolist()], np.int8)
        ends = call_at + self._horizon[table.rules[bare], group]
        closes = call_at + self._hold[table.rules[bare], group]
        spoken = silence != PENDING
        if len(bare):
            deltas.add_expired(group[~spoken], call_at[~spoken])
            if spoken.any():
                deltas.add_verdicts(group[spoken], call_at[spoken], silence[spoken], ends[spoken])
                minute = (closes[spoken] // MINUTE_US).astype(np.int32)
                by = np.full(len(minute), self.source_code(SILENCE), np.int32)
                call_minute = table.minute[bare[spoken]]
                deltas.add_trials(group[spoken], call_minute, minute, silence[spoken], by, spoken=False)
        expired = Expired(
            table.ids.texts(bare),
            self.groups,
            group,
            call_at,
            np.where(spoken, ends, NEVER),
            silence,
        )
        self.held.release(due)
        return expired

    def _silence(self, row: int) -> int:
        silence = self.rules_of(row).silence(self.groups[self.held.calls.group[row]][0])
        return PENDING if silence is None else int(silence)


def effective_minute(at: I64, wm: I64) -> I32:
    """The minute of the record, or the open one where its own is closed already."""
    return (np.maximum(at, wm) // MINUTE_US).astype(np.int32)


def fold_digest(digest: Any) -> Any:
    """Half of a 64-bit digest: enough to tell a conflict from a duplicate among records of one id."""
    return (digest ^ (digest >> np.uint64(32))).astype(np.uint32)
