"""The fast path for statements on calls that have some already, or get several in one batch: whole columns of them.

`models.join.dispatch` decides which calls these are: all that is said about them are assertions. What it does equals
the slow path record by record.
"""

from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

import numpy as np

from aftercall.times import NEVER
from models.arrays import I8, I32, I64, Bools
from models.columns.group_sums import stable_order
from models.join import ledgers_in_columns as ledgers
from models.join.arrivals import OutcomeColumns
from models.join.call_places import CallPlaces
from models.join.deltas import Deltas
from models.join.held_calls import FAILURE, PENDING, SUCCESS
from models.join.joined import NO_STATED, NONE_JUDGED, Judged, Stated
from models.join.opinions_in_columns import NEWEST, After, Said, combined, follow, opinions
from models.join.repeats import repeats, suspects
from models.join.shard_state import ShardState
from models.join.source_ledgers import SourceLedgers
from models.join.spoken import Spoken
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
        declined: outcomes about calls of which a session says something twice. Nothing became of them: whether that is
            an edition was decided there, and not by the rules that hold here.
    """

    judged: Judged
    entered: int
    duplicates: int
    conflicts: dict[int, str]
    successes: int
    failures: int
    declined: I64


_NONE = np.zeros(0, np.int64)
_NOTHING = MoreResults(NONE_JUDGED, 0, 0, {}, 0, 0, _NONE)


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
        says: 0 or 1, -1 where it abstains.
        at: us.
        strength: see `ledgers_in_columns`; of plain ledgers.
        said: the same statements by voices and sources, where they are to be kept apart.
    """

    calls: I32
    call: I64
    rows: I32
    is_new: Bools
    minute: I32
    says: I8
    at: I64
    strength: I64
    said: Said | None

    def after(self, some: I64) -> After:
        """The verdict after each of some statements, in an order of their places, those of one call together."""
        if self.said is not None:
            return follow(self.said, some)
        by = ledgers.deciding(self.strength[some], len(self.call))
        return After(self.says[by], by, self.at[by])

    def opinions(self, some: I64, source: I32) -> tuple[I64, I32, I8, I64]:
        """What each source that says something says by some of the statements, in the order of the ledgers.

        Place of the call, source, success and since when; `source` is that of all statements.
        """
        last = ledgers.newest_of_voices(self.call[some], source[some])
        if self.said is None:
            success, at = self.says[some], self.at[some]
        else:
            success, _, at = opinions(self.said, some)
        last &= success >= 0
        return self.call[some][last], source[some][last], success[last], at[last]


class _Verdicts(NamedTuple):
    """By call: the statement on which the verdict rests, -1 without any, and the verdict, -1 pending, since when."""

    by: I64
    success: I8
    at: I64


class MoreStatements:
    """The path of one batch."""

    def __init__(self, shard: ShardState, deltas: Deltas, spoken: Spoken | None = None) -> None:
        """Differences go to `deltas`; `spoken`: which outcomes are statements of sessions."""
        self._shard, self._table, self._pool, self._spoken = shard, shard.held.calls, shard.held.statements, spoken
        self._deltas = deltas

    def run(self, outcomes: OutcomeColumns, chosen: I64, rows: I32, *, voiced: bool) -> MoreResults:
        """Enter the `chosen` outcomes, ascending, into the ledgers of the calls at `rows`, one of each outcome.

        O(n log n) for n statements that these calls have then; `voiced`: whether not all of them are plain.
        """
        if not len(chosen):
            return _NOTHING
        found, declined = self._but_declined(self._gathered(outcomes, chosen, rows, voiced=voiced))
        again = repeats(self._shard, found.calls, found.call, found.rows)
        duplicates, conflicts = self._refused(found, again)
        if len(again):
            found = self._without(found, np.array([*again], np.int64))
        new = found.chosen
        results = MoreResults(NONE_JUDGED, len(new), duplicates, conflicts, 0, 0, declined)
        if not len(new):
            return results
        owners, entered = found.calls[found.call[found.old :]], found.rows[found.old :]
        self._shard.held.enter(owners, entered)
        if voiced:
            self._shard.note_kinds(owners, entered)
        last_of_call = ledgers.last_of(found.call[found.old :])
        call_ids = list(map(_call_id, outcomes.records[new[last_of_call]]))
        return self._settled(self._ledgers(found, voiced=voiced), call_ids, results)

    def _gathered(self, outcomes: OutcomeColumns, chosen: I64, rows: I32, *, voiced: bool) -> _Statements:
        """All statements of these calls; the new ones are in the pool, too."""
        by_call = stable_order((rows,))
        chosen, rows = chosen[by_call], rows[by_call]
        last = ledgers.last_of(rows)
        calls = rows[last]
        old, call_of_old = self._pool.loose_chains(self._table.head[calls])
        call = np.concatenate((call_of_old, np.cumsum(last) - last))
        authors = self._shard.author_codes(outcomes, chosen) if voiced else None
        rows = np.concatenate((old, self._pool.put_assertions(outcomes, chosen, authors)))
        return _Statements(calls, call, rows, len(old), chosen)

    def _but_declined(self, found: _Statements) -> tuple[_Statements, I64]:
        """Without what is said of calls of which a session says something twice; and these outcomes."""
        if self._spoken is None or not self._spoken.made[found.chosen].any():
            return found, _NONE
        made = np.zeros(len(found.call), np.bool_)
        made[found.old :] = self._spoken.made[found.chosen]
        twice = suspects(self._shard, found.call, found.rows)
        calls = np.unique(found.call[twice[made[twice]]])
        if not len(calls):
            return found, _NONE
        dropped = np.flatnonzero(np.isin(found.call, calls))
        dropped = dropped[dropped >= found.old]
        return self._without(found, dropped), found.chosen[dropped - found.old]

    @staticmethod
    def _refused(found: _Statements, again: dict[int, str]) -> tuple[int, dict[int, str]]:
        """How many new statements are duplicates, and why the others are refused, by the index of the outcome."""
        conflicts = {found.chosen.item(place - found.old): detail for place, detail in again.items() if detail}
        return len(again) - len(conflicts), conflicts

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

    def _ledgers(self, found: _Statements, *, voiced: bool) -> _Ledgers:
        """The statements as ledgers."""
        pool, table = self._pool, self._table
        order = ledgers.ledger_order(found.call, pool.at[found.rows], pool.ids, found.rows)
        call, rows = found.call[order], found.rows[order]
        row_of_call = found.calls[call]
        version, source = table.rules[row_of_call], pool.source[rows]
        tables, at = self._shard.source_tables(), pool.at[rows]
        says = tables.success(version, source, pool.given[rows], pool.score[rows])
        return _Ledgers(
            calls=found.calls,
            call=call,
            rows=rows,
            is_new=order >= found.old,
            minute=np.maximum(pool.minute[rows], table.minute[row_of_call]),
            says=says,
            at=at,
            strength=call if voiced else ledgers.strengths(call, tables.rank[version, source]),
            said=said_on(self._shard, found.calls, call, rows, says) if voiced else None,
        )

    def _settled(self, read: _Ledgers, call_ids: list[str], results: MoreResults) -> MoreResults:
        """Emit what the new statements change."""
        (old,) = (~read.is_new).nonzero()
        every = np.arange(len(read.call))
        after = read.after(every)
        before, now = self._verdicts(read, old, read.after(old)), self._verdicts(read, every, after)
        self._table.verdict[read.calls] = now.success
        counts = np.bincount(read.call)
        self._shard.held.note_lengths(read.calls, counts)
        self._add_trials(read, old, every)
        self._add_statements(read)
        changed = (before.success != now.success) | (before.at != now.at)
        self._add_verdicts(read.calls, before, changed & (before.success != PENDING), -1)
        self._add_verdicts(read.calls, now, changed & (now.success != PENDING), 1)
        self._add_opinions(read, old, every)
        self._add_opinion_trials(read, old, every)
        gained = [int(np.count_nonzero(now.success == what)) for what in (SUCCESS, FAILURE)]
        lost = [int(np.count_nonzero(before.success == what)) for what in (SUCCESS, FAILURE)]
        judged = Judged(
            call_ids=call_ids,
            group=self._shard.groups,
            code=self._table.group[read.calls],
            call_at=self._table.at[read.calls],
            success=now.success,
            by=now.by.astype(np.int32),
            decided_at=now.at,
            score=np.zeros(0),
            statements=counts.astype(np.int32),
            revisions=ledgers.revisions(read.call, after.success, len(read.calls)),
            sources=self._shard.sources,
            authors=self._shard.authors.names,
            stated=NO_STATED,
        )
        judged = self._with_statements(self._with_scores(judged, read), read, old)
        return results._replace(judged=judged, successes=gained[0] - lost[0], failures=gained[1] - lost[1])

    @staticmethod
    def _verdicts(read: _Ledgers, some: I64, after: After) -> _Verdicts:
        """What follows from some of the statements, in the order of the ledgers."""
        last = ledgers.last_of(read.call[some])
        where = read.call[some][last]
        found = _Verdicts(
            np.full(len(read.calls), -1, np.int64),
            np.full(len(read.calls), PENDING, np.int8),
            np.full(len(read.calls), NEVER, np.int64),
        )
        found.by[where], found.success[where] = after.by[last], after.success[last]
        found.at[where] = after.decided_at[last]
        return found

    def _with_scores(self, judged: Judged, read: _Ledgers) -> Judged:
        """With scores of the verdicts, and for combined sources the statements that these rest on."""
        decided, score = judged.by >= 0, np.full(len(judged.by), np.nan)
        score[decided] = self._pool.score[read.rows[judged.by[decided]]]
        if read.said is None:
            return judged._replace(score=score)
        (among,) = (decided & (read.said.combine[judged.by] != NEWEST)).nonzero()
        if len(among):
            by = judged.by.copy()
            by[among], score[among] = combined(read.said, judged.by[among].astype(np.int64), judged.success[among])
            judged = judged._replace(by=by)
        return judged._replace(score=score)

    def _places(self, rows: I32) -> CallPlaces:
        """Where differences of the calls at `rows` count."""
        table, held = self._table, self._shard.held
        rare = held.units.of(rows), held.facets.of(rows)
        return CallPlaces(table.group[rows], table.at[rows], table.minute[rows], *rare)

    def _add_verdicts(self, rows: I32, verdicts: _Verdicts, chosen: Bools, sign: int) -> None:
        """Verdicts gained or withdrawn, of the `chosen` calls."""
        if chosen.any():
            rows, signs = rows[chosen], np.full(np.count_nonzero(chosen), sign, np.int32)
            at, group = self._table.at[rows], self._table.group[rows]
            self._deltas.add_verdicts(group, at, verdicts.success[chosen], verdicts.at[chosen], signs)

    def _add_opinions(self, read: _Ledgers, old: I64, every: I64) -> None:
        """What sources say: taken back as it was, gained as it is; equal ones cancel out."""
        for some, sign in ((old, -1), (every, 1)):
            call, source, success, at = read.opinions(some, self._pool.source[read.rows])
            rows, signs = read.calls[call], np.full(len(call), sign, np.int8)
            self._deltas.add_opinions(self._table.group[rows], source, self._table.at[rows], success, at, signs)

    def _add_opinion_trials(self, read: _Ledgers, old: I64, every: I64) -> None:
        """Trials of single sources that are watched, likewise: as if each were alone on its call."""
        source = self._pool.source[read.rows]
        watched = self._shard.watched_rows(source)
        if not len(watched):
            return
        ledgers_of = SourceLedgers.of(read.call, source, read.minute, read.is_new, watched)
        for some, sign in ((old, -1), (every, 1)):
            found = ledgers_of.ends(some, read.says, read.said)
            calls, signs = self._places(read.calls[read.call[found.by]]), np.full(len(found.by), sign, np.int32)
            self._deltas.opinion_trials.add(calls, found.minute, source[found.by], found.success, signs)

    def _add_trials(self, read: _Ledgers, old: I64, every: I64) -> None:
        """Trials with the new statements, and without them taken back: none differs before the first of these."""
        first = np.full(len(read.calls), np.iinfo(np.int32).max, np.int32)
        np.minimum.at(first, read.call[read.is_new], read.minute[read.is_new])
        for some, sign in ((old, -1), (every, 1)):
            found = ledgers.ends(read.call, read.minute, some, lambda order: read.after(order)[:2]).from_minutes(first)
            calls, source = self._places(read.calls[found.call]), self._pool.source[read.rows[found.by]]
            signs = np.full(len(source), sign, np.int32)
            self._deltas.add_trials(calls, found.minute, found.success, found.before, source, signs)

    def _add_statements(self, read: _Ledgers) -> None:
        """Count the new statements."""
        new, calls = read.rows[read.is_new], read.calls[read.call[read.is_new]]
        source, version = self._pool.source[new], self._table.rules[calls]
        score = self._shard.source_tables().scaled(version, source, self._pool.score[new])
        minute, success = read.minute[read.is_new], read.says[read.is_new]
        self._deltas.add_statements(self._places(calls), minute, source, success, score)

    def _with_statements(self, judged: Judged, read: _Ledgers, old: I64) -> Judged:
        """With the statements that are new, that began or ceased to stand, or on which a verdict rests."""
        pool, rows = self._pool, read.rows
        voices = (read.call, pool.source[rows], pool.author[rows])
        stands, stood = ledgers.newest_of_voices(*voices), np.zeros(len(rows), np.bool_)
        stood[old] = ledgers.newest_of_voices(*(column[old] for column in voices))
        shown = read.is_new | (stands != stood)
        kept, decided = shown.copy(), judged.by >= 0
        kept[judged.by[decided]] = True
        (chosen,) = kept.nonzero()
        rows = rows[chosen]
        stated = Stated(
            call=read.call[chosen].astype(np.int32),
            ids=pool.ids.state_of(rows),
            edition=pool.edition[rows],
            source=pool.source[rows],
            author=pool.author[rows],
            at=pool.at[rows],
            success=read.says[chosen],
            score=pool.score[rows],
            reasons=at_places(pool.reasons, rows),
            scorers=at_places(pool.scorers, rows),
            stands=stands[chosen],
            shown=shown[chosen],
        )
        by = np.where(decided, (np.cumsum(kept) - 1)[judged.by], -1).astype(np.int32)
        return judged._replace(by=by, stated=stated)


def said_on(shard: ShardState, calls: I32, call: I64, rows: I32, says: I8) -> Said:
    """The statements, as rows of the pool, on the calls at `calls`, of which `call` are the places."""
    pool, table, tables = shard.held.statements, shard.held.calls, shard.source_tables()
    version, source = table.rules[calls[call]], pool.source[rows]
    required, requires = np.full(len(rows), -1, np.int32), np.zeros(len(calls), np.int32)
    under, number = np.unique(np.stack((table.rules[calls], table.group[calls])), axis=1, return_inverse=True)
    for kind, (rules, group) in enumerate(under.T.tolist()):
        here, codes = number.ravel() == kind, shard.required_codes(rules, group)
        requires[here] = len(codes)
        for place, code in enumerate(codes):
            required[here[call] & (source == code)] = place
    outside = max(len(rules.verdict.precedence) for rules in shard.versions)
    is_outside = tables.rank[version, source] == np.array([len(r.verdict.precedence) for r in shard.versions])[version]
    return Said(
        call=call,
        at=pool.at[rows],
        success=says,
        source=source,
        author=pool.author[rows],
        rank=np.where(is_outside, outside, tables.rank[version, source]).astype(np.int32),
        combine=tables.combine[version, source],
        required=required,
        requires=requires[call],
        outside=outside,
    )
