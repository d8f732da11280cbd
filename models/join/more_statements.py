"""The fast path for statements on calls that have some already, or get several in one batch: whole columns of them.

`models.join.dispatch` decides which calls these are: all that is said about them are assertions. What it does equals
the slow path record by record.
"""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

import numpy as np

from models.arrays import I8, I32, I64, Bools
from models.columns.group_sums import stable_order
from models.join import ledgers_in_columns as ledgers
from models.join.arrivals import OutcomeColumns
from models.join.deltas import CallPlaces, Deltas
from models.join.details import second_record
from models.join.held_calls import FAILURE, PENDING, SUCCESS
from models.join.joined import NO_STATED, NONE_JUDGED, Judged, Stated
from models.join.repeats import Repeats, repeats
from models.join.shard_state import ShardState
from models.join.statement_pool import at_places

_call_id = attrgetter("call_id")


class MoreResults(NamedTuple):
    """What became of the outcomes.

    Attributes:
        judged: the calls whose ledgers grew, and the statements to show.
        entered: how many outcomes entered ledgers.
        duplicates: how many repeat another one.
        conflicts: why outcomes are refused that have the id of another one, but differ from it, by their index.
        successes: change of the number of calls that are successes.
        failures: that of failures.
    """

    judged: Judged
    entered: int
    duplicates: int
    conflicts: dict[int, str]
    successes: int
    failures: int


_NOTHING = MoreResults(NONE_JUDGED, 0, 0, {}, 0, 0)


class _Statements(NamedTuple):
    """Statements on some calls: those that they had, then the new ones; those of one call in the order of arrival.

    Attributes:
        calls: rows of the calls.
        call: per statement, the place of its call in `calls`.
        rows: per statement, its row in the pool.
        old: how many are old.
        chosen: of the new ones, the outcomes; ascending within a call, and these follow each other.
    """

    calls: I32
    call: I64
    rows: I32
    old: int
    chosen: I64


class _Ledgers(NamedTuple):
    """Statements on some calls, in the order of the ledgers, those of one call one after the other.

    Attributes:
        calls: rows of the calls.
        call: per statement, the place of its call in `calls`.
        rows: per statement, its row in the pool.
        is_new: whether this batch has added it.
        minute: from which it takes effect.
        success: what it asserts, 0 or 1.
        strength: see `ledgers_in_columns`.
    """

    calls: I32
    call: I64
    rows: I32
    is_new: Bools
    minute: I32
    success: I8
    strength: I64


class _Verdicts(NamedTuple):
    """By call: the statement that decides, what it says, and when it was said; -1, -1 and 0 where there is none."""

    by: I64
    success: I8
    at: I64


class MoreStatements:
    """The path of one batch."""

    def __init__(self, shard: ShardState, deltas: Deltas) -> None:
        """Differences go to `deltas`."""
        self._shard, self._table, self._pool = shard, shard.held.calls, shard.held.statements
        self._deltas = deltas

    def run(self, outcomes: OutcomeColumns, chosen: I64, rows: I32) -> MoreResults:
        """Enter the `chosen` outcomes, ascending, into the ledgers of the calls at `rows`, one of each outcome.

        O(n log n) for n statements that these calls have then.
        """
        if not len(chosen):
            return _NOTHING
        found = self._gathered(outcomes, chosen, rows)
        again = repeats(self._pool, found.call, found.rows)
        conflicts = self._conflicts(found, again)
        if len(again.duplicates) or conflicts:
            found = self._without(found, np.concatenate((again.duplicates, again.conflicts)))
        new = found.chosen
        results = MoreResults(NONE_JUDGED, len(new), len(again.duplicates), conflicts, 0, 0)
        if not len(new):
            return results
        self._shard.held.enter(found.calls[found.call[found.old :]], found.rows[found.old :])
        last_of_call = ledgers.last_of(found.call[found.old :])
        call_ids = list(map(_call_id, outcomes.records[new[last_of_call]]))
        return self._settled(self._ledgers(found), call_ids, results)

    def _gathered(self, outcomes: OutcomeColumns, chosen: I64, rows: I32) -> _Statements:
        """All statements of these calls; the new ones are in the pool, too."""
        by_call = stable_order((rows,))
        chosen, rows = chosen[by_call], rows[by_call]
        last = ledgers.last_of(rows)
        calls = rows[last]
        old, call_of_old = self._pool.loose_chains(self._table.head[calls])
        call = np.concatenate((call_of_old, np.cumsum(last) - last))
        rows = np.concatenate((old, self._pool.put_assertions(outcomes, chosen)))
        return _Statements(calls, call, rows, len(old), chosen)

    def _conflicts(self, found: _Statements, again: Repeats) -> dict[int, str]:
        """Why outcomes are refused, by their index."""
        outcomes = found.chosen[again.conflicts - found.old].tolist()
        sources = (self._pool.source[found.rows[places]].tolist() for places in (again.conflicts, again.owners))
        return {
            i: second_record("same_id" if source == first else "source", self._shard.sources[first])
            for i, source, first in zip(outcomes, *sources, strict=True)
        }

    def _without(self, found: _Statements, dropped: I64) -> _Statements:
        """Without these new statements, and without calls that then have no new ones."""
        self._pool.give_back(found.rows[dropped])
        kept = np.ones(len(found.call), np.bool_)
        kept[dropped] = False
        has_new = np.zeros(len(found.calls), np.bool_)
        has_new[found.call[found.old :][kept[found.old :]]] = True
        kept &= has_new[found.call]
        call = (np.cumsum(has_new) - 1)[found.call[kept]]
        old = int(np.count_nonzero(kept[: found.old]))
        return _Statements(found.calls[has_new], call, found.rows[kept], old, found.chosen[kept[found.old :]])

    def _ledgers(self, found: _Statements) -> _Ledgers:
        """The statements as ledgers."""
        pool, table = self._pool, self._table
        order = ledgers.ledger_order(found.call, pool.at[found.rows], pool.ids, found.rows)
        call, rows = found.call[order], found.rows[order]
        row_of_call = found.calls[call]
        version, source = table.rules[row_of_call], pool.source[rows]
        tables = self._shard.source_tables()
        return _Ledgers(
            calls=found.calls,
            call=call,
            rows=rows,
            is_new=order >= found.old,
            minute=np.maximum(pool.minute[rows], table.minute[row_of_call]),
            success=tables.success(version, source, pool.given[rows], pool.score[rows]),
            strength=ledgers.strengths(call, tables.rank[version, source]),
        )

    def _settled(self, read: _Ledgers, call_ids: list[str], results: MoreResults) -> MoreResults:
        """Emit what the new statements change."""
        (old,) = (~read.is_new).nonzero()
        by = ledgers.deciding(read.strength, len(read.call))
        before, now = self._verdicts(read, old), self._verdicts(read, slice(None))
        self._table.verdict[read.calls] = now.success
        counts = np.bincount(read.call)
        self._shard.held.note_lengths(read.calls, counts)
        self._add_trials(read, old)
        self._add_statements(read)
        changed = (before.success != now.success) | (before.at != now.at)
        self._add_verdicts(read.calls, before, changed & (before.by >= 0), -1)
        self._add_verdicts(read.calls, now, changed, 1)
        gained = [int(np.count_nonzero(now.success == what)) for what in (SUCCESS, FAILURE)]
        lost = [int(np.count_nonzero(before.success == what)) for what in (SUCCESS, FAILURE)]
        judged = Judged(
            call_ids=call_ids,
            group=self._shard.groups,
            code=self._table.group[read.calls],
            call_at=self._table.at[read.calls],
            success=now.success,
            by=now.by.astype(np.int32),
            statements=counts.astype(np.int32),
            revisions=ledgers.revisions(read.call, read.success[by], len(read.calls)),
            sources=self._shard.sources,
            stated=NO_STATED,
        )
        judged = self._with_statements(judged, read, old)
        return results._replace(judged=judged, successes=gained[0] - lost[0], failures=gained[1] - lost[1])

    def _verdicts(self, read: _Ledgers, some: I64 | slice) -> _Verdicts:
        """What follows from some of the statements, in the order of the ledgers."""
        call, decides = read.call[some], ledgers.deciding(read.strength[some], len(read.call))
        last = ledgers.last_of(call)
        by, at = np.full(len(read.calls), -1, np.int64), np.zeros(len(read.calls), np.int64)
        success = np.full(len(read.calls), PENDING, np.int8)
        found, where = decides[last], call[last]
        by[where], success[where], at[where] = found, read.success[found], self._pool.at[read.rows[found]]
        return _Verdicts(by, success, at)

    def _places(self, rows: I32) -> CallPlaces:
        """Where differences of the calls at `rows` count."""
        return CallPlaces(self._table.group[rows], self._table.at[rows], self._table.minute[rows])

    def _add_verdicts(self, rows: I32, verdicts: _Verdicts, chosen: Bools, sign: int) -> None:
        """Verdicts gained or withdrawn, of the `chosen` calls."""
        if chosen.any():
            rows, signs = rows[chosen], np.full(np.count_nonzero(chosen), sign, np.int32)
            at, group = self._table.at[rows], self._table.group[rows]
            self._deltas.add_verdicts(group, at, verdicts.success[chosen], verdicts.at[chosen], signs)

    def _add_trials(self, read: _Ledgers, old: I64) -> None:
        """Trials with the new statements, and without them taken back: none differs before the first of these."""
        first = np.full(len(read.calls), np.iinfo(np.int32).max, np.int32)
        np.minimum.at(first, read.call[read.is_new], read.minute[read.is_new])
        for some, sign in ((old, -1), (slice(None), 1)):
            found = ledgers.ends(read.call[some], read.minute[some], read.strength[some], read.success)
            found = found.from_minutes(first)
            calls, source = self._places(read.calls[found.call]), self._pool.source[read.rows[found.by]]
            signs = np.full(len(source), sign, np.int32)
            self._deltas.add_trials(calls, found.minute, found.success, found.before, source, signs)

    def _add_statements(self, read: _Ledgers) -> None:
        """Count the new statements."""
        new, calls = read.rows[read.is_new], read.calls[read.call[read.is_new]]
        source, version = self._pool.source[new], self._table.rules[calls]
        score = self._shard.source_tables().scaled(version, source, self._pool.score[new])
        minute, success = read.minute[read.is_new], read.success[read.is_new]
        self._deltas.add_statements(self._places(calls), minute, source, success, score)

    def _with_statements(self, judged: Judged, read: _Ledgers, old: I64) -> Judged:
        """With the statements that are new, that began or ceased to stand, or on which a verdict rests."""
        pool, source = self._pool, self._pool.source[read.rows]
        stands, stood = ledgers.standing(read.call, source), np.zeros(len(read.call), np.bool_)
        stood[old] = ledgers.standing(read.call[old], source[old])
        shown = read.is_new | (stands != stood)
        kept = shown.copy()
        kept[judged.by] = True
        (chosen,) = kept.nonzero()
        rows = read.rows[chosen]
        stated = Stated(
            call=read.call[chosen].astype(np.int32),
            ids=pool.ids.state_of(rows),
            source=source[chosen],
            at=pool.at[rows],
            success=read.success[chosen],
            score=pool.score[rows],
            reasons=at_places(pool.reasons, rows),
            stands=stands[chosen],
            shown=shown[chosen],
        )
        return judged._replace(by=(np.cumsum(kept) - 1)[judged.by].astype(np.int32), stated=stated)
