"""The group step merges the shards, holds the caps on groups, and closes minutes.

There is one such step for the whole dataflow. It handles sums, not events, so it is far from being the bottleneck, and
being one makes the caps exact and a closed minute the same for all readers (docs/decisions/0002-one-group-step.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from aftercall.times import HOUR_US, MINUTE_US, MINUTES_PER_HOUR, NEVER
from aftercall.vocabulary import MAX_ATTEMPTS, OTHER, RESERVED_SOURCES
from models.arrays import I32
from models.groups.marks import KnownMarks, MarksRead
from models.groups.migrations import (
    as_of_their_minutes,
    with_attempts,
    with_facets,
    with_lateness,
    with_naming,
    with_task_types,
    with_units,
)
from models.groups.naming import Caps, Folding, Naming
from models.groups.open_checks import OpenChecks
from models.groups.open_errors import OpenErrors
from models.groups.open_opinions import OpenOpinions, sum_opinions
from models.groups.places import Places
from models.groups.strata import Strata
from models.groups.sums import (
    sum_attempts,
    sum_dated,
    sum_errors,
    sum_facets,
    sum_responses,
    sum_scores,
    sum_trials,
    sum_units,
    trials_by_delay,
    trials_by_source,
    without_source,
)
from models.groups.usual_lateness import STRIDE, CameLate, LateCalls, UsualLateness
from models.groups.value_order import in_order
from models.messages import (
    NO_ATTEMPTS,
    NO_RESPONSES,
    NO_SCORES,
    NO_TRIALS,
    NO_UNITS,
    NO_VALUES,
    Attempts,
    CellDeltas,
    Changes,
    Closed,
    DelayDeltas,
    Group,
    LatencyDeltas,
    OpinionDeltas,
    Responses,
    Scores,
    TrialDeltas,
    UnitTrials,
    Values,
)
from models.side_messages import (
    NO_CHECK_DELTAS,
    NO_DATED,
    NO_FACETS,
    CheckDeltas,
    CheckedRule,
    DatedTrials,
    FacetTrials,
)
from models.state import Migrations

MAX_SOURCES = 256
"""Distinct sources; those that come later are one, `OTHER`: a source is free text."""

_Name = TypeVar("_Name", Group, str)
_Table = TypeVar("_Table", TrialDeltas, Values, Responses, Scores, Attempts, UnitTrials, FacetTrials, DatedTrials)


class Grouped(NamedTuple):
    """What one message of one shard led to.

    `folding`: the caps that were reached, at `folded_at` of event time. `watermark`: that of all shards together.
    `late`: calls of the minutes that closed which are evidence of nothing. `segments`: per name that of its
    calls, empty for those without one; nothing where none has any. `marks`: what became of those of the message. Codes
    index `names`, `sources` and `rules`, where names and sources may repeat.
    """

    names: list[Group]
    cells: CellDeltas
    latencies: LatencyDeltas
    delays: DelayDeltas
    sources: list[str]
    opinions: OpinionDeltas
    closed: Closed | None
    folding: list[Folding]
    folded_at: int
    watermark: int
    late: Sequence[LateCalls] = ()
    segments: list[str] = []  # noqa: RUF012 - never changed
    marks: MarksRead = MarksRead()
    rules: tuple[CheckedRule, ...] = ()
    checks: CheckDeltas = NO_CHECK_DELTAS


class Groups:
    """Merges the shards' messages; `process` is called with each in turn."""

    STATE_VERSION: ClassVar = 10
    MIGRATIONS: ClassVar[Migrations] = {
        4: with_naming,
        5: with_task_types,
        6: with_attempts,
        7: with_lateness,
        8: with_units,
        9: with_facets,
    }

    def __init__(self, shards: int, caps: Caps, unlearned: str | None = None) -> None:
        """`shards`: how many must have sent messages before the watermark starts; `caps`: more groups fold.

        `unlearned`: a source whose trials are not among `Closed.delays`, as the pipeline itself decides when they come.
        """
        self._shards, self._unlearned = shards, unlearned
        self._naming = Naming(caps)
        self._clocks: dict[str, int] = {}
        self._codes: dict[Group, int] = {}
        self._through = NEVER
        self._trials: list[TrialDeltas] = []
        self._dated: list[DatedTrials] = []
        self._values: list[Values] = []
        self._sources: dict[str, int] = {}
        self._responses: list[Responses] = []
        self._scores: list[Scores] = []
        self._attempts: list[Attempts] = []
        self._units: list[UnitTrials] = []
        self._facets: list[FacetTrials] = []
        self._strata, self._marks, self._checks = Strata(), KnownMarks(), OpenChecks()
        self._opinions, self._errors = OpenOpinions(), OpenErrors()
        self._lateness, self._came_late = UsualLateness(), CameLate()
        self._late: list[LateCalls] = []
        """Of the minutes that the present message closes."""

    def process(self, changes: Changes) -> Grouped:
        """Merge one message."""
        to = Places([self._naming.route(name) for name in changes.names], changes.late, changes.segments)
        cells, latencies, delays, opinions = changes.cells, changes.latencies, changes.delays, changes.opinions
        self._count_calls(changes)
        self._add(changes, to)
        marks = self._marks.read(changes.marks)
        if changes.erased:
            self._values = [_nameless(part, changes.erased) for part in self._values]
        self._clocks[changes.shard] = max(changes.watermark, self._clocks.get(changes.shard, NEVER))
        watermark = min(self._clocks.values()) if len(self._clocks) == self._shards else NEVER
        if watermark != NEVER:
            self._naming.end_hours(watermark // HOUR_US)
        return Grouped(
            names=to.names,
            cells=cells._replace(code=to.of(cells.code, cells.minute // MINUTES_PER_HOUR)),
            latencies=latencies._replace(code=to.of(latencies.code, latencies.minute // MINUTES_PER_HOUR)),
            delays=delays._replace(code=to.of(delays.code, delays.hour)),
            sources=[self._folded(name) for name in changes.sources],
            opinions=opinions._replace(code=to.of(opinions.code, opinions.minute // MINUTES_PER_HOUR)),
            closed=self._close(watermark),
            folding=self._naming.began(),
            # Before there is a watermark, as in the first batch of all, the calls themselves give the time.
            folded_at=self._naming.newest_hour * HOUR_US if changes.watermark == NEVER else changes.watermark,
            watermark=watermark,
            late=self._came(),
            segments=to.segments,
            marks=marks,
            rules=changes.rules,
            checks=changes.checks._replace(code=to.of(changes.checks.code, changes.checks.hour)),
        )

    def _came(self) -> Sequence[LateCalls]:
        late, self._late = self._late, []
        return late

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays; not a copy. Parts are joined first: a batch of each shard adds some."""
        self._trials, self._values = _joined(self._trials), _joined(self._values)
        self._responses, self._scores = _joined(self._responses), _joined(self._scores)
        self._attempts, self._units = _joined(self._attempts), _joined(self._units)
        self._facets, self._dated = _joined(self._facets), _joined(self._dated)
        return {
            "clocks": self._clocks,
            "codes": self._codes,
            "naming": self._naming.state(),
            "through": self._through,
            "trials": self._trials,
            "dated": self._dated,
            "values": self._values,
            "sources": self._sources,
            "responses": self._responses,
            "scores": self._scores,
            "attempts": self._attempts,
            "units": self._units,
            "facets": self._facets,
            "failed": self._errors.state(),
            **self._strata.state(),
            "lateness": self._lateness.state(),
            "came_late": self._came_late.state(),
            "marks": self._marks.state(),
            "checks": self._checks.state(),
            "opinion_trials": self._opinions.state(),
        }

    @classmethod
    def from_state(cls, kept: dict[str, Any], shards: int, caps: Caps, unlearned: str | None = None) -> Groups:
        """The step as it was: `kept` is a `state()`."""
        groups = cls(shards, caps, unlearned)
        groups._clocks, groups._codes, groups._through = kept["clocks"], kept["codes"], kept["through"]
        groups._naming = Naming(caps, kept["naming"])
        groups._trials = [TrialDeltas(*part) for part in kept["trials"]]
        groups._dated = [DatedTrials(*part) for part in kept.get("dated", as_of_their_minutes(groups._trials))]
        groups._values = [Values(*part) for part in kept["values"]]
        groups._sources = kept["sources"]
        groups._responses = [Responses(*part) for part in kept["responses"]]
        groups._scores = [Scores(*part) for part in kept["scores"]]
        groups._attempts = [Attempts(*part) for part in kept["attempts"]]
        groups._units = [UnitTrials(*part) for part in kept["units"]]
        groups._facets = [FacetTrials(*part) for part in kept["facets"]]
        groups._opinions = OpenOpinions(kept.get("opinion_trials", ()))
        groups._errors, groups._strata = OpenErrors(kept["failed"]), Strata(kept)
        groups._lateness, groups._came_late = UsualLateness(kept["lateness"]), CameLate(kept["came_late"])
        groups._marks = KnownMarks(kept.get("marks"))  # earlier states have none
        groups._checks = OpenChecks(kept.get("checks"))  # nor these
        return groups

    def _count_calls(self, changes: Changes) -> None:
        cells = changes.cells
        accepted = cells.calls > 0
        hour = cells.minute[accepted] // MINUTES_PER_HOUR
        self._naming.count(changes.names, cells.code[accepted], hour, cells.calls[accepted])

    def _add(self, changes: Changes, to: Places) -> None:
        """Keep what belongs to open minutes, by own codes."""
        own = np.fromiter(
            (self._codes.setdefault(name, len(self._codes)) for name in to.names), np.int32, len(to.names)
        )
        own += np.array(to.late, np.int32) * np.int32(STRIDE)
        hours, trials, values = changes.hours, changes.trials, changes.values
        if len(trials.code):
            places = to.of(trials.code, hours.trials)
            self._trials.append(trials._replace(code=own[places]))
            self._dated.append(DatedTrials(own[places], trials.minute, hours.quarters, *trials[4:]))
            if to.segments:
                self._strata.add(trials, own[places], to.segments, places)
        if len(values.code):
            self._values.append(values._replace(code=own[to.of(values.code, values.at // HOUR_US)]))
        by = np.fromiter(map(self._source, changes.sources), np.int32, len(changes.sources))
        responses, scores = changes.responses, changes.scores
        if len(responses.code):
            code = own[to.of(responses.code, hours.responses)]
            self._responses.append(responses._replace(code=code, source=by[responses.source]))
        if len(scores.code):
            code = own[to.of(scores.code, hours.scores)]
            self._scores.append(scores._replace(code=code, source=by[scores.source]))
        attempts, units, facets = changes.attempts, changes.units, changes.facets
        if len(units.code):
            self._units.append(units._replace(code=own[to.of(units.code, hours.units)]))
        if len(facets.code):
            self._facets.append(facets._replace(code=own[to.of(facets.code, hours.facets)]))
        if len(attempts.code):
            self._attempts.append(attempts._replace(code=own[to.of(attempts.code, attempts.hour)]))
        if len(changes.checks.code):
            self._checks.add(changes, own[to.of(changes.checks.code, changes.checks.hour)])
        self._opinions.add(changes.opinion_trials, own[to.of(changes.opinion_trials.code, hours.opinion_trials)], by)
        self._errors.add(changes, own[to.of(changes.failed.code, hours.failed)])

    def _source(self, name: str) -> int:
        known = self._sources.get(name)
        if known is None:
            folded = name if len(self._sources) < MAX_SOURCES or name in RESERVED_SOURCES else OTHER
            known = self._sources.setdefault(folded, len(self._sources))
        return known

    def _folded(self, name: str) -> str:
        """The name under which a source counts that was seen by `_source`."""
        return name if name in self._sources else OTHER

    def _close(self, watermark: int) -> Closed | None:
        """What lies in minutes that the watermark has passed, None where it passed none."""
        through = watermark // MINUTE_US if watermark != NEVER else NEVER
        if through <= self._through:
            return None
        self._through = through
        trials, self._trials = _split_at(self._trials, through, NO_TRIALS)
        dated, self._dated = _split_at(self._dated, through, NO_DATED)
        values, self._values = _split_at(self._values, through, NO_VALUES)
        responses, self._responses = _split_at(self._responses, through, NO_RESPONSES)
        scores, self._scores = _split_at(self._scores, through, NO_SCORES)
        attempts, self._attempts = _split_at(self._attempts, through, NO_ATTEMPTS)
        units, self._units = _split_at(self._units, through, NO_UNITS)
        facets, self._facets = _split_at(self._facets, through, NO_FACETS)
        errors, failed = self._errors.pop(through)
        self._lateness.grow(len(self._codes))
        strata, said = self._strata.pop(through), self._opinions.pop(through)
        read = [trials, values, responses, scores, attempts, failed, units, strata, facets, said, dated]
        tables, late = self._lateness.sorted_out(read)
        uploaded = tables[2].code >= STRIDE
        tables = [table._replace(code=table.code % STRIDE) for table in tables]
        trials, values, responses, scores, attempts, failed, units, strata, facets, said, dated = tables
        if len(late[0].code):
            self._late += self._came_late.add([name[0] for name in self._codes], late[0], late[4], late[1])
        closing = (trials, values, responses, scores, failed, units, facets, said, dated, self._checks.pop(through))
        names, code = _ranked(list(self._codes), closing, "code")
        rules, checked = self._checks.closed(closing[-1], code)
        segments, stratified = self._strata.closed(strata, code)
        sources, source = _ranked(list(self._sources), (responses, scores, said), "source")
        responses = responses._replace(code=code[responses.code], source=source[responses.source])
        # An upload says nothing of how long its trials took.
        at_once = responses._replace(bucket=np.where(uploaded, np.int16(0), responses.bucket))
        at_once = without_source(at_once if uploaded.any() else responses, sources, self._unlearned)
        responses = sum_responses(responses)
        return Closed(
            through,
            names,
            trials=sum_trials(trials._replace(code=code[trials.code])),
            values=in_order(values._replace(code=code[values.code])),
            sources=tuple(sources),
            delays=trials_by_delay(at_once),
            slices=trials_by_source(responses),
            scores=sum_scores(scores._replace(code=code[scores.code], source=source[scores.source])),
            responses=responses,
            errors=tuple(errors),
            failed=sum_errors(failed._replace(code=code[failed.code])),
            attempts=sum_attempts(attempts._replace(code=code[attempts.code])),
            units=sum_units(units._replace(code=code[units.code])),
            segments=segments,
            stratified=stratified,
            marks=self._marks.close(through),
            rules=rules,
            checks=checked,
            facets=sum_facets(facets._replace(code=code[facets.code])),
            opinion_trials=sum_opinions(said, code, source),
            dated=sum_dated(dated._replace(code=code[dated.code])),
        )


def _ranked(names: list[_Name], tables: tuple[Any, ...], column: str) -> tuple[list[_Name], I32]:
    """The names that occur in a column of `tables`, in their order; and by old code the place among them."""
    used = np.unique(np.concatenate([getattr(table, column) for table in tables])).tolist()
    used.sort(key=names.__getitem__)
    rank = np.zeros(len(names), np.int32)
    rank[used] = np.arange(len(used), dtype=np.int32)
    return [names[code] for code in used], rank


def _nameless(values: Values, erased: tuple[int, ...]) -> Values:
    """Without these calls' keys; their ties with others of the same microsecond may then be settled otherwise."""
    hashes, attempts = np.array(erased, np.uint64), np.arange(MAX_ATTEMPTS + 1, dtype=np.uint64)
    named = np.isin(values.key, np.add.outer(hashes, attempts))
    return values._replace(key=np.where(named, np.uint64(0), values.key))


def _joined(parts: list[_Table]) -> list[_Table]:
    """The rows of all parts in one."""
    if len(parts) < 2:
        return parts
    columns: tuple[Any, ...] = tuple(map(np.concatenate, zip(*parts, strict=True)))
    return [type(parts[0])(*columns)]


def _split_at(parts: list[Any], through: int, empty: Any) -> tuple[Any, list[Any]]:
    """The rows of minutes before `through`, and the rest."""
    if not parts:
        return empty, []
    (whole,) = _joined(parts)
    closed = whole.minute < through
    if closed.all():
        return whole, []
    rest = type(empty)(*(column[~closed] for column in whole))
    return type(empty)(*(column[closed] for column in whole)), [rest]
