"""The delayed join of one shard: calls meet their outcomes, and every change of a verdict leaves as a difference.

Most records take the fast path: a new call, or an outcome of a held call that asserts something. Others (a retraction,
a repeated call, an early or late outcome, a call with an error) take the slow path, record by record, under the same
rules. Which path a record takes depends on what else is in its batch; the result does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np

from aftercall.times import MINUTE_US, NEVER
from aftercall.vocabulary import SILENCE
from models.arrays import F64, I32, I64, U64, Bools
from models.join.arrivals import Arrivals, CallColumns, OutcomeColumns
from models.join.attempts import try_all
from models.join.call_places import CallPlaces
from models.join.completions import Filled, complete
from models.join.deltas import Deltas
from models.join.dispatch import Dispatch, dispatch
from models.join.early_outcomes import EarlyOutcomes
from models.join.fast_path import FastPath, FastResults
from models.join.held_calls import FAILURE, PENDING, SUCCESS
from models.join.held_opinions import count_held_opinions
from models.join.homonyms import Homonyms
from models.join.identity import Identified, identify
from models.join.joined import Expired, Joined
from models.join.migrations import (
    early_outcomes_in_columns,
    ends_of_waits,
    facets_of_calls,
    ids_in_one_array,
    names_in_digests,
    statements_in_one_pool,
    units_of_calls,
)
from models.join.rules import JoinRules
from models.join.seconds import fill
from models.join.session_checks import SessionResults, together
from models.join.shard_state import ShardState
from models.join.slow_path import Bound, SlowPath
from models.join.spoken import Spoken, mixed
from models.join.statement_pool import NO_STATEMENT
from models.join.strangers import strange, strangers
from models.join.strata import NONE_DECLARED, Segments, Stratum, counted_under
from models.messages import Group, Mark
from models.side_messages import CompletedCalls, Judge, JudgedBatch, JudgedCalls
from models.state import Migrations
from models.watermark import ENDED, LaneClocks, effective_minute

MOST_EARLY: Final = 5_000_000 // 12
_SPARE: Final = 16


class Join:
    """The join of one shard. `process` takes each batch in turn; `state` and `from_state` carry it over a restart.

    Attributes:
        shard: rules, codes and held calls.
        early: outcomes whose call has not come.
        watermark: in microseconds, never falls; NEVER until every lane has sent a clock.
    """

    STATE_VERSION: ClassVar = 9
    MIGRATIONS: ClassVar[Migrations] = {
        2: ids_in_one_array,
        3: early_outcomes_in_columns,
        4: names_in_digests,
        5: statements_in_one_pool,
        6: ends_of_waits,
        7: units_of_calls,
        8: facets_of_calls,
    }
    compressible = False
    """Its rows are mostly random bytes: ids and keys."""

    def __init__(
        self,
        rules: JoinRules,
        seed: int = 0,
        most_early: int = MOST_EARLY,
        segments: Segments = NONE_DECLARED,
        judge: Judge | None = None,
        watched: frozenset[str] = frozenset(),
    ) -> None:
        """Hold nothing.

        Args:
            rules: for calls accepted from now on.
            seed: of 64 bits, known only here: without it, ids cannot be chosen that slow the join.
            most_early: so many early outcomes may wait.
            segments: under which calls accepted from now on are counted too.
            judge: judges the calls accepted from now on by contracts; it has no state.
            watched: sources whose opinions are trials of their own, from now on.
        """
        self.shard = ShardState([rules], Homonyms(seed), seed)
        self.shard.watched = watched
        self.early = EarlyOutcomes(self.shard.homonyms, seed)
        self._most_early, self._segments, self._judge = most_early, segments, judge
        self._opinions_counted = True
        """Whether what sources say of held calls is; not after an upgrade, until the first batch."""
        self._is_full = False
        """Whether more wait than may, until a sixteenth of the room is free."""
        self.watermark = NEVER
        self._lanes = LaneClocks()

    def process(self, arrivals: Arrivals) -> Joined:
        """Apply one batch and close what its watermark has passed. O(n log n) for n records and calls due."""
        shard, calls, outcomes = self.shard, arrivals.calls, arrivals.outcomes
        judged = self._judged(arrivals)
        others = self._lanes.others(arrivals.lane, arrivals.lanes)
        calls_clock = self._lanes.calls_before(arrivals.lane, arrivals.clock, arrivals.lanes)
        names: Sequence[Group | Stratum] = arrivals.groups
        group = calls.group
        if self._segments:
            names, group = counted_under(arrivals.groups, group, calls.records, self._segments)
        calls = calls._replace(group=shard.local_groups(names, group), wm=self._watermarks(calls.wm, others))
        outcomes = outcomes._replace(
            source=shard.local_sources(arrivals.sources, outcomes.source), wm=self._watermarks(outcomes.wm, others)
        )
        marks = self._met(arrivals.marks, others)
        of_sessions = SessionResults(shard, self.early, arrivals.session_checks) if arrivals.session_checks else None
        open_minute, spoken = self.watermark // MINUTE_US, None
        if arrivals.made:
            calls, outcomes, spoken = mixed(shard, arrivals, calls, outcomes)
        found = identify(shard, self.early, calls, outcomes)
        count = len(calls.key)
        calls, outcomes = calls._replace(key=found.keys[:count]), outcomes._replace(key=found.keys[count:])
        deltas = Deltas(shard.source_code)
        self._count_opinions(deltas)
        paths = dispatch(shard, calls, outcomes, found, spoken, judged)
        fast = FastPath(shard, deltas).run(calls, outcomes, paths, spoken)
        filled = fill(shard, calls, paths.seconds)
        slow = SlowPath(shard, self.early, deltas, arrivals.partitions, self._bound(calls_clock), spoken, judged)
        buffered = self._buffer(outcomes, found, paths, arrivals.partitions, spoken)
        done_calls, done = paths.fast_calls.copy(), paths.fast_outcomes | buffered
        done_calls[paths.seconds.chosen], done[fast.declined] = True, False
        for more in fast.more:
            slow.refuse_conflicts(outcomes, more.conflicts)
        slow.run(calls, outcomes, paths._replace(fast_calls=done_calls, fast_outcomes=done, outcome_rows=fast.rows))
        self._advance(arrivals)
        expired = self._close(slow, deltas)
        self._make_room(slow, arrivals)
        rest = slow.finish(self.watermark, last=arrivals.last)
        accepted = np.concatenate((fast.accepted, rest.accepted)) if len(rest.accepted) else fast.accepted
        parts = (filled, rest.completed)
        filling = Filled.joined(parts)
        completed = complete(calls, filling, deltas, shard.homonyms)
        if spoken is not None:
            # An outcome of a session is counted there, however many calls it reaches.
            rest.tally["outcomes"] -= int(np.count_nonzero(done & spoken.made))
        first = _first_records(calls, accepted)
        attempts = try_all(shard, calls, (first, *parts), deltas)
        rest.tally.update(attempts=len(attempts), failures=len(attempts))
        rest.tally.update(completed=len(filled.chosen), duplicates=len(paths.seconds.chosen) - len(filled.chosen))
        checked = None
        if judged is not None:
            counted = deltas.counted_calls()
            of_first = JudgedCalls(first.chosen, first.group, shard.groups, first.at, first.minute, counted)
            checked = judged.checked(of_first, _completed(shard, calls, filling, completed.latency_ms))
        if of_sessions is not None and self._judge is not None:
            in_sessions = of_sessions.checked(calls, first, filling, self._judge, open_minute)
            checked = in_sessions if checked is None else together(checked, in_sessions)
        if checked is not None:
            deltas.add_checks(checked.deltas, checked.rules)
            rest.tally.update(checks_disagreed=checked.disagreed)
        changes = deltas.changes(arrivals.shard, self.watermark, shard.groups, shard.sources, shard.segments)
        return Joined(
            changes=changes._replace(marks=marks),
            accepted=calls.records[accepted],
            accepted_at=calls.at[accepted],
            first=fast.first,
            expired=expired,
            judgements=rest.judgements,
            statements=rest.statements,
            refused=rest.refused,
            tally=_tally(rest.tally, fast, expired, int(np.count_nonzero(buffered))),
            completed=completed,
            attempts=attempts,
            judged=tuple(more.judged for more in fast.more),
            checks=() if checked is None else checked.rows,
            uses=() if checked is None else checked.uses,
        )

    def _judged(self, arrivals: Arrivals) -> JudgedBatch | None:
        if self._judge is None or not len(arrivals.calls.key):
            return None
        return self._judge.judge(arrivals.groups, arrivals.calls, arrivals.text_results, arrivals.tool_paths)

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays; not a copy. Changes count from here on."""
        self.shard.homonyms.keep(self._is_there)
        return self._with_clocks(self.shard.state(), self.early.state())

    def changes(self) -> dict[str, Any]:
        """What is new or changed since the last `state` or `changes`, for `merged_shard`. O(changes)."""
        return self._with_clocks(self.shard.changes(), self.early.changes())

    @property
    def unstored(self) -> int:
        """About how many calls and outcomes the next `changes` has; -1 where only `state` will do."""
        held = self.shard.unstored
        return held if held < 0 else held + self.early.unstored

    @property
    def blocked(self) -> int | None:
        """While more outcomes wait than may: the clock of the calls has to pass this, us. Until then, read no more."""
        oldest = self.early.oldest_at() if self._is_full else None
        return None if oldest is None else oldest + self.shard.rules.allowed_lateness_us

    @classmethod
    def from_state(
        cls,
        state: dict[str, Any],
        rules: JoinRules,
        seed: int = 0,
        most_early: int = MOST_EARLY,
        segments: Segments = NONE_DECLARED,
        judge: Judge | None = None,
        watched: frozenset[str] = frozenset(),
    ) -> Join:
        """The shard as it was; `rules` and `segments` apply to calls accepted from now on. All others may differ.

        Raises:
            StateError: the rules have changed too often.
        """
        join = cls(rules, seed, most_early, segments, judge, watched)
        join.shard = ShardState.from_state(state, rules, seed)
        join.shard.watched = watched
        join.early = EarlyOutcomes.from_state(state["waiting"], join.shard.homonyms, seed)
        join.watermark = state["watermark"]
        join._lanes = LaneClocks.from_state(state["lanes"])
        join._is_full = len(join.early) > most_early
        join._opinions_counted = state.get("opinions_counted", True)
        return join

    def _is_there(self, keys: U64) -> Bools:
        """Which keys have a call that is held or waited for."""
        there: Bools = (self.shard.held.index.find(keys) >= 0) | (self.early.find(keys) >= 0)
        return there

    def _with_clocks(self, shard: dict[str, Any], waiting: dict[str, Any]) -> dict[str, Any]:
        counted = {} if self._opinions_counted else {"opinions_counted": False}
        return {**shard, **counted, "watermark": self.watermark, "lanes": self._lanes.state(), "waiting": waiting}

    def _count_opinions(self, deltas: Deltas) -> None:
        if not self._opinions_counted:
            count_held_opinions(self.shard, deltas)
            self._opinions_counted = True

    def _watermarks(self, wm: I64, others: int) -> I64:
        """The watermark over all lanes that each record met; `wm` is that of its own lane."""
        return np.maximum(np.minimum(wm, others), self.watermark)

    def _met(self, marks: tuple[Mark, ...], others: int) -> tuple[Mark, ...]:
        """Marks with the watermark over all lanes that each of them met."""
        return tuple(mark._replace(wm=max(min(mark.wm, others), self.watermark)) for mark in marks)

    def _advance(self, arrivals: Arrivals) -> None:
        self._lanes.observe(arrivals.lane, arrivals.clock)
        self.watermark = max(self.watermark, self._lanes.watermark(arrivals.lanes))

    def _bound(self, calls_clock: int) -> Bound:
        """Which early outcomes may be given up where too many wait, given the clock of the calls."""
        passed = calls_clock if calls_clock in {NEVER, ENDED} else calls_clock - self.shard.rules.allowed_lateness_us
        return Bound(self._most_early, passed)

    def _buffer(
        self,
        outcomes: OutcomeColumns,
        found: Identified,
        paths: Dispatch,
        partitions: list[str],
        spoken: Spoken | None,
    ) -> Bools:
        """Buffer outcomes as columns; which. None where there may be no room for all: then each has its turn."""
        if len(self.early) + len(outcomes.key) > self._most_early:
            return np.zeros(len(outcomes.key), np.bool_)
        buffered = strange(self.shard, outcomes, found, paths)
        if spoken is not None:
            buffered &= ~spoken.made
        (chosen,) = buffered.nonzero()
        if len(chosen):
            self.early.add_all(strangers(self.shard, outcomes, chosen, partitions))
        return buffered

    def _make_room(self, slow: SlowPath, arrivals: Arrivals) -> None:
        """Give up the oldest early outcomes where there was no room, as far as the calls have come now."""
        if self._is_full:
            bound = self._bound(self._lanes.calls(arrivals.lanes))
            slow.make_room(bound._replace(most=self._most_early - self._most_early // _SPARE))
        most = self._most_early - self._most_early // _SPARE if self._is_full else self._most_early
        self._is_full = len(self.early) > most

    def _close(self, slow: SlowPath, deltas: Deltas) -> Expired:
        """Close what the watermark has passed: calls without statements as columns, others one by one."""
        held = self.shard.held
        due = held.due(self.watermark)
        present = due[held.index.find(held.index.row_key[due]) == due]
        pending = present[held.calls.verdict[present] == PENDING]
        nothing_said = held.calls.head[pending] == NO_STATEMENT
        if not nothing_said.all():
            slow.close(pending[~nothing_said])
        expired = _expire(self.shard, deltas, pending[nothing_said])
        held.release(due)
        return expired


def _first_records(calls: CallColumns, accepted: I64) -> Filled:
    """What the first records of calls fill."""
    at, new = calls.at[accepted], calls.filled[accepted]
    minute = effective_minute(at, calls.wm[accepted])
    had = np.zeros_like(new)
    return Filled(accepted, calls.group[accepted], at, minute, new, calls.unit[accepted], had, calls.facets[accepted])


def _completed(shard: ShardState, calls: CallColumns, filling: Filled, latency_ms: F64) -> CompletedCalls:
    """The calls that a record completes, to be judged by what it brings."""
    minute = filling.takes_effect(calls)
    return CompletedCalls(filling.chosen, filling.group, shard.groups, filling.at, minute, filling.had, latency_ms)


def _expire(shard: ShardState, deltas: Deltas, rows: I32) -> Expired:
    """Close calls without statements: each takes the silence verdict of its task type, or expires."""
    table = shard.held.calls
    group, call_at = table.group[rows], table.at[rows]
    silence, ends = shard.silence_verdicts(rows), shard.horizon_ends(rows)
    decided = silence != PENDING
    if len(rows):
        deltas.add_expired_calls(group[~decided], call_at[~decided])
    if decided.any():
        by_silence, verdicts = rows[decided], silence[decided]
        deltas.add_verdicts(group[decided], call_at[decided], verdicts, ends[decided])
        minute = (shard.closing_times(by_silence) // MINUTE_US).astype(np.int32)
        source = np.full(len(minute), shard.source_code(SILENCE), np.int32)
        rare = shard.held.units.of(by_silence), shard.held.facets.of(by_silence)
        places = CallPlaces(group[decided], call_at[decided], table.minute[by_silence], *rare)
        deltas.add_first_trials(places, minute, verdicts, source, by_statement=False)
    return Expired(table.ids.texts(rows), shard.groups, group, call_at, np.where(decided, ends, NEVER), silence)


def _tally(tally: Counter[str], fast: FastResults, expired: Expired, buffered: int) -> dict[str, int]:
    """The counts of the slow path with those of the fast path and of calls closed as columns; none is 0."""
    tally["calls"] += len(fast.accepted)
    tally["waiting"] += buffered
    tally["outcomes"] += len(fast.first.code)
    for more in fast.more:
        tally["outcomes"] += more.entered
        tally["duplicates"] += more.duplicates
        tally["successes"] += more.successes
        tally["failures"] += more.failures
    tally["expired"] += int(np.count_nonzero(expired.success == PENDING))
    for success in (fast.first.success, expired.success):
        tally["successes"] += int(np.count_nonzero(success == SUCCESS))
        tally["failures"] += int(np.count_nonzero(success == FAILURE))
    return {name: count for name, count in tally.items() if count}
