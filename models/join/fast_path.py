"""The fast path through the join: whole columns of new calls, of first outcomes, and of further ones.

`models.join.dispatch` decides which records take it. What it does equals the slow path record by record.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import I8, I32, I64
from models.join.arrivals import CallColumns, OutcomeColumns
from models.join.call_places import CallPlaces
from models.join.contents import KNOWN
from models.join.deltas import Deltas
from models.join.dispatch import Dispatch
from models.join.held_calls import PENDING
from models.join.joined import FirstVerdicts
from models.join.more_statements import MoreResults, MoreStatements
from models.join.shard_state import ShardState
from models.join.spoken import Spoken
from models.watermark import effective_minute


class FastResults(NamedTuple):
    """What the fast path did; `accepted` indexes the batch's calls, `declined` its outcomes.

    Attributes:
        declined: outcomes that take the slow path after all: a session says something twice about their calls.
        rows: per outcome, the row of its call, now also of those that this batch has added.
    """

    accepted: I64
    first: FirstVerdicts
    more: tuple[MoreResults, ...]
    declined: I64
    rows: I32


class FastPath:
    """The fast path of one batch."""

    def __init__(self, shard: ShardState, deltas: Deltas) -> None:
        """Differences go to `deltas`."""
        self._shard = shard
        self._deltas = deltas

    def run(
        self, calls: CallColumns, outcomes: OutcomeColumns, dispatch: Dispatch, spoken: Spoken | None = None
    ) -> FastResults:
        """Apply the records that take the fast path. O(n) for n records."""
        accepted = np.flatnonzero(dispatch.fast_calls)
        rows = self._accept(calls, accepted, dispatch)
        first = self._first_verdicts(outcomes, np.flatnonzero(dispatch.first), rows)
        more = np.flatnonzero(dispatch.fast_outcomes & ~dispatch.first)
        path, voiced = MoreStatements(self._shard, self._deltas, spoken), dispatch.voiced[more]
        plain, rest = more[~voiced], more[voiced]
        results = (
            path.run(outcomes, plain, rows[plain], voiced=False),
            path.run(outcomes, rest, rows[rest], voiced=True),
        )
        declined = np.concatenate([one.declined for one in results])
        return FastResults(accepted, first, results, declined, rows)

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
        table.digest[new], table.segment[new] = calls.names[accepted], calls.segment[accepted]
        table.session[new], table.error[new] = calls.session[accepted], calls.error[accepted]
        table.filled[new] = calls.filled[accepted] | KNOWN
        held.units.put(new, calls.unit[accepted])
        held.facets.put(new, calls.facets[accepted])
        hashes = self._shard.homonyms.hashes(calls.key[accepted])
        latency_ms, cost_nano, tokens = calls.latency_ms[accepted], calls.cost_nano[accepted], calls.tokens[accepted]
        self._deltas.add_calls(CallPlaces(group, at, minute), minute, latency_ms, cost_nano, tokens, hashes)
        row_of = np.full(len(calls.key), -1, np.int32)
        row_of[accepted] = new
        return np.where(dispatch.owner >= 0, row_of[dispatch.owner], dispatch.outcome_rows)

    def _first_verdicts(self, outcomes: OutcomeColumns, chosen: I64, rows: I32) -> FirstVerdicts:
        """Enter the `chosen` outcomes as the first statements of their calls."""
        row = rows[chosen]
        table, pool = self._shard.held.calls, self._shard.held.statements
        records = outcomes.records[chosen]
        source, score, at = outcomes.source[chosen], outcomes.score[chosen], outcomes.at[chosen]
        given, group, call_at = outcomes.success[chosen], table.group[row], table.at[row]
        tables, version = self._shard.source_tables(), table.rules[row]
        success = tables.success(version, source, given, score)
        minute = effective_minute(at, outcomes.wm[chosen])
        if len(chosen):
            self._shard.held.enter(row, pool.put_assertions(outcomes, chosen))
            table.verdict[row] = success
            self._deltas.add_verdicts(group, call_at, success, at, source=source)
            call_minute = table.minute[row]
            trial_minute = np.maximum(minute, call_minute)
            held = self._shard.held
            places = CallPlaces(group, call_at, call_minute, held.units.of(row), held.facets.of(row))
            self._deltas.add_first_trials(places, trial_minute, success, source)
            self._deltas.add_scores(places, trial_minute, source, tables.scaled(version, source, score))
            self._add_opinion_trials(places, trial_minute, source, success)
        return FirstVerdicts(records, self._shard.groups, group, call_at, at, success)

    def _add_opinion_trials(self, places: CallPlaces, minute: I32, source: I32, success: I8) -> None:
        """The first thing that a watched source says of a call is a trial of its own."""
        said = self._shard.watched_rows(source)
        if len(said):
            ones = np.ones(len(said), np.int32)
            self._deltas.opinion_trials.add(places.part(said), minute[said], source[said], success[said], ones)
