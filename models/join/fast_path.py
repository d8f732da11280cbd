"""The fast path through the join: whole columns of new calls and of first outcomes.

`models.join.dispatch` decides which records take it. What it does equals the slow path record by record.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from sys import intern
from typing import NamedTuple

import numpy as np

from aftercall.vocabulary import DEFAULT_PASS_AT
from models.arrays import F64, I32, I64, Bools
from models.join.arrivals import CallColumns, OutcomeColumns
from models.join.contents import KNOWN
from models.join.deltas import CallPlaces, Deltas
from models.join.dispatch import Dispatch
from models.join.held_calls import NO_STATEMENT, PENDING
from models.join.joined import FirstVerdicts
from models.join.shard_state import ShardState
from models.join.watermark import effective_minute

_reason, _scorer = attrgetter("reason"), attrgetter("scorer")


class FastResults(NamedTuple):
    """What the fast path did; `accepted` indexes the batch's calls."""

    accepted: I64
    first: FirstVerdicts


class FastPath:
    """The fast path of one batch."""

    def __init__(self, shard: ShardState, deltas: Deltas) -> None:
        """Differences go to `deltas`."""
        self._shard = shard
        self._deltas = deltas

    def run(self, calls: CallColumns, outcomes: OutcomeColumns, dispatch: Dispatch) -> FastResults:
        """Apply the records that take the fast path. O(n) for n records."""
        accepted = np.flatnonzero(dispatch.fast_calls)
        rows = self._accept(calls, accepted, dispatch)
        return FastResults(accepted, self._first_verdicts(outcomes, np.flatnonzero(dispatch.fast_outcomes), rows))

    def _accept(self, calls: CallColumns, accepted: I64, dispatch: Dispatch) -> I32:
        """Hold new calls; the rows of the outcomes' calls, now with those of the same batch."""
        if not len(accepted):
            return dispatch.outcome_rows
        held, periods = self._shard.held, self._shard.periods()
        group, at = calls.group[accepted], calls.at[accepted]
        new = held.add(calls.key[accepted], at + periods.hold[group])
        minute = effective_minute(at, calls.wm[accepted])
        table = held.calls
        table.ids.put_words(new, calls.uuid[accepted], lambda i: calls.records[accepted[i]].call_id)
        table.at[new], table.group[new], table.minute[new] = at, group, minute
        table.verdict[new], table.rules[new] = PENDING, periods.version
        table.digest[new], table.single[new] = calls.names[accepted], NO_STATEMENT
        table.filled[new], table.segment[new] = calls.filled[accepted] | KNOWN, calls.segment[accepted]
        table.session[new], table.error[new] = calls.session[accepted], calls.error[accepted]
        hashes = self._shard.homonyms.hashes(calls.key[accepted])
        latency_ms, cost_nano, tokens = calls.latency_ms[accepted], calls.cost_nano[accepted], calls.tokens[accepted]
        self._deltas.add_calls(group, at, minute, latency_ms, cost_nano, tokens, hashes)
        row_of = np.full(len(calls.key), -1, np.int32)
        row_of[accepted] = new
        return np.where(dispatch.partner >= 0, row_of[dispatch.partner], dispatch.outcome_rows)

    def _first_verdicts(self, outcomes: OutcomeColumns, chosen: I64, rows: I32) -> FirstVerdicts:
        """Enter the `chosen` outcomes as the first statements of their calls."""
        row = rows[chosen]
        table, singles = self._shard.held.calls, self._shard.held.singles
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
            singles.ids.put_words(single, outcomes.uuid[chosen], lambda i: records[i].outcome_id)
            held = self._shard.held
            held.reasons.update(_by_place(single, list(map(_reason, records))))
            held.scorers.update(_by_place(single, list(map(_scorer, records)), intern))
            table.single[row], table.verdict[row] = single, success
            held.touch(row)
            self._deltas.add_verdicts(group, call_at, success, at, source=source)
            call_minute = table.minute[row]
            trial_minute = np.maximum(minute, call_minute)
            self._deltas.add_first_trials(CallPlaces(group, call_at, call_minute), trial_minute, success, source)
            self._deltas.add_scores(group, call_at, trial_minute, source, self._scaled(source, score))
        return FirstVerdicts(records, self._shard.groups, group, call_at, at, success)

    def _passes(self, source: I32, score: F64) -> Bools:
        """Success by score under the rules for new calls."""
        by_name = self._shard.rules.verdict.sources
        rules = [by_name.get(name) for name in self._shard.sources]
        pass_at = np.array([DEFAULT_PASS_AT if r is None else r.pass_at for r in rules] or [DEFAULT_PASS_AT])
        fail_at = np.array([np.nan if r is None or r.fail_at is None else r.fail_at for r in rules] or [np.nan])
        high_is_bad = ~np.isnan(fail_at[source])
        success: Bools = np.where(high_is_bad, score < fail_at[source], score >= pass_at[source])
        return success

    def _scaled(self, source: I32, score: F64) -> F64:
        """Scores of sources with a scale as those of 0 to 1, under the rules for new calls."""
        by_name = self._shard.rules.verdict.sources
        if all(rule.scale is None for rule in by_name.values()):
            return score
        rules = [by_name.get(name) for name in self._shard.sources]
        scales = [None if rule is None else rule.scale for rule in rules]
        (has_scale,) = np.array([scale is not None for scale in scales], np.bool_)[source].nonzero()
        low, high = np.array([scale or (0.0, 1.0) for scale in scales])[source[has_scale]].T
        scaled = score.copy()
        scaled[has_scale] = np.clip((score[has_scale] - low) / (high - low), 0.0, 1.0)
        return scaled


def _by_place(rows: I32, texts: list[str | None], kept: Callable[[str], str] = str) -> dict[int, str]:
    """The texts that there are, by row."""
    if texts.count(None) == len(texts):
        return {}
    return {row: kept(text) for row, text in zip(rows.tolist(), texts, strict=True) if text is not None}
