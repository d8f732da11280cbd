"""What the parts of the join share: rules by version, codes of groups and sources, held calls.

Lies below the fast path, the slow path and the open ledgers, which all change it. A call keeps the version of the rules
it was accepted under, and is judged by these until it closes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from aftercall.errors import NEW_OUT
from models.arrays import I8, I32, I64, Bools
from models.columns.names import Names
from models.join.arrivals import OutcomeColumns
from models.join.held_calls import IS_MIXED, IS_VOICED, PENDING, HeldCalls
from models.join.homonyms import Homonyms, OwnKeys
from models.join.rules import JoinRules
from models.join.source_tables import SourceTables, no_sources
from models.join.statement_pool import ASSERTION, NO_AUTHOR
from models.join.strata import Stratum, group_of, segment_of
from models.messages import Group
from models.state import StateError

_MOST_VERSIONS = 255
"""A held call stores the version of its rules in one byte."""
_MANY_NAMES = 1024
_NO_ROWS: I64 = np.zeros(0, np.int64)
_NO_AUTHOR = ""
"""In place of the author of statements without one."""


class Periods(NamedTuple):
    """How long calls are held, and their horizon, in us, by the code of their group.

    `hold` and `horizon` are for calls accepted now, under rules of this `version`; `holds` and `horizons`, of shape
    (versions, groups), for those of any version, and `requires`: whether sources are required.
    """

    version: int
    hold: I64
    horizon: I64
    holds: I64
    horizons: I64
    requires: Bools


class ShardState:
    """The tables of one shard. Codes are places in `groups` and `sources`; they change only in `state`."""

    def __init__(self, versions: list[JoinRules], homonyms: Homonyms, seed: int) -> None:
        """Hold nothing.

        Args:
            versions: the rules by version, at least one; the last is for calls accepted from now on.
            homonyms: the keys of calls that are not the hashes of their ids.
            seed: of the index of held calls.
        """
        self.versions, self.homonyms = versions, homonyms
        self.groups: list[Group] = []
        self.segments: list[str] = []
        """Of each of `groups`, the segment of its calls; empty for those without one."""
        self.sources: list[str] = []
        self.watched: frozenset[str] = frozenset()
        """Sources whose opinions are trials of their own."""
        self.authors = Names[str]([_NO_AUTHOR])
        self.held = HeldCalls(self.closing_times, homonyms, seed)
        self._group_code: dict[Group | Stratum, int] = {}
        self._source_code: dict[str, int] = {}
        self._stored = (0, 0, 0)
        """How many groups, sources and authors are stored already."""
        # By version and code of the group.
        self._hold = np.zeros((1, 1), np.int64)
        self._horizon = np.zeros((1, 1), np.int64)
        self._source_tables = no_sources(versions)
        self._requires = np.zeros((1, 1), np.bool_)

    @property
    def rules(self) -> JoinRules:
        """The rules for calls accepted now."""
        return self.versions[-1]

    @property
    def version(self) -> int:
        """The version of `rules`."""
        return len(self.versions) - 1

    def periods(self) -> Periods:
        """The periods; valid until a group is learned."""
        return Periods(self.version, self._hold[-1], self._horizon[-1], self._hold, self._horizon, self._requires)

    def hold_us(self, group: int) -> int:
        """How long a call of this group is held under `rules`."""
        return int(self._hold[-1, group])

    def closing_times(self, rows: I32) -> I64:
        """When the calls at `rows` close: once the watermark is later."""
        calls = self.held.calls
        return calls.at[rows] + self._hold[calls.rules[rows], calls.group[rows]]

    def horizon_ends(self, rows: I32) -> I64:
        """Up to when outcomes of the calls at `rows` count."""
        calls = self.held.calls
        return calls.at[rows] + self._horizon[calls.rules[rows], calls.group[rows]]

    def silence_verdicts(self, rows: I32) -> I8:
        """What silence means for the calls at `rows`: SUCCESS, FAILURE, or PENDING where they expire."""
        calls, versions, groups = self.held.calls, self.versions, self.groups
        verdicts = [
            versions[version].silence(groups[group][0])
            for version, group in zip(calls.rules[rows].tolist(), calls.group[rows].tolist(), strict=True)
        ]
        return np.array([PENDING if verdict is None else verdict for verdict in verdicts], np.int8)

    def source_tables(self) -> SourceTables:
        """The settings of the sources; valid until one is learned. O(new sources)."""
        known = self._source_tables.rank.shape[1]
        if known < len(self.sources):
            self._source_tables = self._source_tables.more(self.versions, self.sources[known:])
        return self._source_tables

    def note_kinds(self, rows: I32, statements: I32) -> None:
        """Take note of what statements, as rows of the pool, make of the calls at `rows`, one of each statement."""
        pool, tables, version = self.held.statements, self.source_tables(), self.held.calls.rules[rows]
        source, signed = pool.source[statements], pool.author[statements] != NO_AUTHOR
        mixed = (pool.kind[statements] != ASSERTION) | tables.mixed[version, source]
        mixed |= signed & tables.alone[version, source]
        if pool.retracts:
            # Also of an assertion, which withdraws nothing: records of its id are compared by it.
            mixed |= np.fromiter(map(pool.retracts.__contains__, statements.tolist()), np.bool_, len(statements))
        voiced = signed | (pool.edition[statements] > 1) | ~tables.plain[version, source]
        self.held.note(IS_MIXED, rows[mixed])
        self.held.note(IS_VOICED, rows[voiced])

    def author_codes(self, outcomes: OutcomeColumns, chosen: I64) -> I32:
        """The codes of the authors of outcomes, new ones where they have none."""
        codes = np.full(len(chosen), NO_AUTHOR, np.int32)
        (signed,) = (outcomes.author[chosen] != 0).nonzero()
        codes[signed] = [self.authors.code(record.author) for record in outcomes.records[chosen[signed]]]
        return codes

    def required_codes(self, version: int, group: int) -> list[int]:
        """The codes of the sources that calls of a group require, -1 for one that has said nothing yet."""
        required = self.versions[version].required(self.groups[group][0])
        return [self._source_code.get(source, -1) for source in required]

    def source_code(self, source: str) -> int:
        """The shard's code of a source, a new one where it has none."""
        code = self._source_code.get(source)
        if code is None:
            code = self._source_code[source] = len(self.sources)
            self.sources.append(source)
        return code

    def watched_codes(self) -> dict[str, int]:
        """The codes of the watched sources that have said something."""
        return {name: self._source_code[name] for name in sorted(self.watched) if name in self._source_code}

    def watched_rows(self, sources: I32) -> I64:
        """Which rows are by sources that are watched, given the codes of their sources."""
        if not self.watched:
            return _NO_ROWS
        return np.flatnonzero(np.isin(sources, list(self.watched_codes().values())))

    def local_sources(self, sources: list[str], codes: I32) -> I32:
        """The shard's codes for a batch's codes of sources; learns only sources that occur in `codes`."""
        (here,) = np.bincount(codes, minlength=len(sources)).nonzero()
        local = np.zeros(len(sources), np.int32)
        local[here] = [self.source_code(sources[code]) for code in here.tolist()]
        return local[codes]

    def local_groups(self, groups: Sequence[Group | Stratum], codes: I32) -> I32:
        """The shard's codes for a batch's codes of groups; learns only groups that occur in `codes`."""
        (here,) = np.bincount(codes, minlength=len(groups)).nonzero()
        local = np.zeros(len(groups), np.int32)
        local[here] = self.learn_groups([groups[code] for code in here.tolist()])
        return local[codes]

    def learn_groups(self, names: Sequence[Group | Stratum]) -> I32:
        """The codes of groups, and of segments of groups, new ones where they have none."""
        new = [name for name in names if name not in self._group_code]
        for name in new:
            self._group_code[name] = len(self.groups)
            self.groups.append(group_of(name))
            self.segments.append(segment_of(name))
        if len(self.groups) > self._hold.shape[1] or len(self.versions) > self._hold.shape[0]:
            self._rebuild_periods()
        elif new:
            at = slice(len(self.groups) - len(new), len(self.groups))
            for i, rules in enumerate(self.versions):
                self._horizon[i, at] = [rules.horizon(group[0]) for group in self.groups[at]]
                self._hold[i, at] = self._horizon[i, at] + rules.allowed_lateness_us
                self._requires[i, at] = [bool(rules.required(group[0])) for group in self.groups[at]]
        return np.fromiter(map(self._group_code.__getitem__, names), np.int32, len(names))

    def state(self) -> dict[str, Any]:
        """As plain values and arrays. Drops unused names first, so codes may change. Changes count from here on."""
        self._forget_groups()
        self._forget_sources()
        self._forget_authors()
        self._stored = (0, 0, 0)
        return self._with_names(self.held.state(), self.homonyms.state())

    def changes(self) -> dict[str, Any]:
        """The part of `state` that is new or changed since the last of both: see `HeldCalls.changes`."""
        return self._with_names(self.held.changes(), self.homonyms.changes())

    @property
    def unstored(self) -> int:
        """See `HeldCalls.unstored`; -1 too where so many names are new that unused ones should be dropped."""
        names = len(self.groups) + len(self.sources) + len(self.authors)
        return -1 if names > 2 * sum(self._stored) + 2 * _MANY_NAMES else self.held.unstored

    @classmethod
    def from_state(cls, state: dict[str, Any], rules: JoinRules, seed: int) -> Self:
        """Read `state`; `rules` that differ from the last version become a new one, and `seed` may differ.

        Raises:
            StateError: there is no version left for `rules`.
        """
        versions = [JoinRules.from_state(version) for version in state["rules"]]
        if versions[-1] != rules:
            versions.append(rules)
        if len(versions) > _MOST_VERSIONS:
            msg = (
                f"step 'join': settings that decide verdicts may change at most {_MOST_VERSIONS - 1} times in one "
                "--out; this would be one more (put back the settings of the last run, or "
                f"{NEW_OUT})"
            )
            raise StateError(msg)
        shard = cls(versions, Homonyms.from_state(state["homonyms"], seed), seed)
        shard.learn_groups([*map(_named, state["groups"], segments_in(state))])
        for source in state["held"]["sources"]:
            shard.source_code(source)
        shard.authors = Names(state["held"]["authors"])
        shard.held.restore(state["held"])
        shard._stored = (len(shard.groups), len(shard.sources), len(shard.authors))
        return shard

    def _with_names(self, held: dict[str, Any], homonyms: OwnKeys) -> dict[str, Any]:
        groups, sources, authors = self._stored
        self._stored = (len(self.groups), len(self.sources), len(self.authors))
        return {
            "rules": [rules.state() for rules in self.versions],
            "groups": self.groups[groups:],
            "segments": self.segments[groups:],
            "homonyms": homonyms,
            "held": held | {"sources": self.sources[sources:], "authors": self.authors.names[authors:]},
        }

    def _rebuild_periods(self) -> None:
        count, room = len(self.groups), max(64, len(self.groups) * 2)
        self._horizon = np.zeros((len(self.versions), room), np.int64)
        self._requires = np.zeros((len(self.versions), room), np.bool_)
        for i, rules in enumerate(self.versions):
            self._horizon[i, :count] = [rules.horizon(group[0]) for group in self.groups]
            self._requires[i, :count] = [bool(rules.required(group[0])) for group in self.groups]
        self._hold = self._horizon + np.array([[rules.allowed_lateness_us] for rules in self.versions])

    # `max_groups` bounds what is counted, not what producers write into a name. So names that no held call uses are
    # dropped once they are the majority. The lists are replaced, not changed: messages under way still refer to them.

    def _forget_groups(self) -> None:
        rows, calls = self.held.index.rows(), self.held.calls
        used, codes = np.unique(calls.group[rows], return_inverse=True)
        if len(self.groups) <= max(_MANY_NAMES, 2 * len(used)):
            return
        kept = [_named(self.groups[code], self.segments[code]) for code in used.tolist()]
        calls.group[:] = 0
        calls.group[rows] = codes
        self.groups, self.segments, self._group_code, self._hold = [], [], {}, np.zeros((0, 0), np.int64)
        self.learn_groups(kept)

    def _forget_sources(self) -> None:
        statements = self.held.statements
        rows = statements.used_rows()
        used, codes = np.unique(statements.source[rows], return_inverse=True)
        if len(self.sources) <= max(_MANY_NAMES, 2 * len(used)):
            return
        kept = [self.sources[code] for code in used.tolist()]
        statements.source[:] = 0
        statements.source[rows] = codes
        self.sources, self._source_code, self._source_tables = [], {}, no_sources(self.versions)
        for source in kept:
            self.source_code(source)

    def _forget_authors(self) -> None:
        statements = self.held.statements
        rows = statements.used_rows()
        codes = np.append(np.int32(NO_AUTHOR), statements.author[rows])
        statements.author[rows] = self.authors.compacted(codes)[1:]


def segments_in(state: dict[str, Any]) -> Sequence[str]:
    """The segments of the groups of a stored state, or of changes; those of before there were any have none."""
    segments: Sequence[str] = state.get("segments", ("",) * len(state["groups"]))
    return segments


def _named(group: Group, segment: str) -> Group | Stratum:
    return Stratum(group, segment) if segment else group
