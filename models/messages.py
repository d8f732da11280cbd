"""The steps of the dataflow exchange these messages: columns, never single events.

Codes index the `names` of the same message. Minutes are integers since 1970 UTC, times are microseconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import F64, I8, I16, I32, I64, U64
from models.side_messages import (
    NO_CHECK_DELTAS,
    NO_CHECKS,
    NO_DATED,
    NO_FACETS,
    NO_LENGTHS,
    NO_OPINION_TRIALS,
    CheckDeltas,
    CheckedRule,
    CheckTrials,
    DatedTrials,
    FacetTrials,
    LengthTrials,
    OpinionTrials,
)
from models.side_messages import Restart as Restart  # noqa: PLC0414 - it stands above this, and is read from here

Group = tuple[str, str, str]
"""(task_type, model, config)."""
AnyGroup = tuple[str, str | None, str | None]
"""A group or a roll-up: (task, model, None), (task, None, None)."""


LEVELS = 100
"""Levels of a score per 1."""


class CellDeltas(NamedTuple):
    """Differences per (group, minute of the call's time); each row is distinct."""

    code: I32
    minute: I32
    calls: I32
    successes: I32
    failures: I32
    expired: I32
    cost_nano: I64


class LatencyDeltas(NamedTuple):
    """Calls added per (group, minute of the call's time, latency bucket of `quantile_sketch`)."""

    code: I32
    minute: I32
    bucket: I16
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


class DelayDeltas(NamedTuple):
    """Verdicts gained (+) or withdrawn (-) per (group, hour of the call, success, bucket of `delay_distribution`)."""

    code: I32
    hour: I32
    success: I8
    bucket: I16
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


class OpinionDeltas(NamedTuple):
    """Opinions of sources gained (+1) or withdrawn (-1), one row each: what a source says of a call, whatever decides.

    By (group, source, minute of the call's time, success, bucket of `delay_distribution`); rows may repeat. `source`
    indexes the message's `sources`.
    """

    code: I32
    source: I32
    minute: I32
    success: I8
    bucket: I16
    sign: I8


_NONE: I32 = np.zeros(0, np.int32)
NO_OPINIONS = OpinionDeltas(_NONE, _NONE, _NONE, _NONE.astype(np.int8), _NONE.astype(np.int16), _NONE.astype(np.int8))


class TrialDeltas(NamedTuple):
    """Differences per (group, effective minute), only ever for minutes still open.

    `trial_*`: calls whose verdict at the end of the minute is success or failure and differs from the minute before.
    `successes`, `failures`: net change of the number of calls that stand as such (may be negative).
    `calls`: calls accepted, failed attempts among them.
    """

    code: I32
    minute: I32
    trial_successes: I32
    trial_failures: I32
    successes: I32
    failures: I32
    calls: I32


class Values(NamedTuple):
    """One row per accepted call, for the numeric detectors, and per record or failed attempt that brings values later.

    `key` settles ties: the hash of the call's id, plus the number of the attempt. Of one call and time each value has
    one row.
    `latency_ms` and `cost_usd` are nan where absent, `tokens` (in and out together) is -1.
    """

    code: I32
    minute: I32
    at: I64
    key: U64
    latency_ms: F64
    cost_usd: F64
    tokens: I64


class Responses(NamedTuple):
    """Statements and trials per (group, effective minute, source, success, bucket of `minute_delays`), each once.

    A statement is an assertion that entered a ledger: counted once, in the minute in which it took effect, whatever
    becomes of it; `success` is -1 where it abstains. A trial (see `TrialDeltas`) counts for the source whose statement
    decided at the end of its minute: `call` for the call's own error, `silence` where there is no statement. Statements
    are never taken back; trials only in minutes still open. `source` indexes the message's `sources`.
    """

    code: I32
    minute: I32
    source: I32
    success: I8
    bucket: I16
    statements: I32
    trials: I32


class Scores(NamedTuple):
    """Scores of statements as they entered, per (group, effective minute, source, level); distinct rows.

    `level` is the score in hundredths, rounded half to even, within +-2^31.
    """

    code: I32
    minute: I32
    source: I32
    level: I32
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


class ErrorTrials(NamedTuple):
    """Trials that are failures of calls with an error: differences per (group, effective minute, error); distinct rows.

    `error` indexes the message's `errors`. A trial counts whichever source decided it. As trials,
    only ever for minutes still open.
    """

    code: I32
    minute: I32
    error: I32
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


class Attempts(NamedTuple):
    """Failed attempts among the calls of `TrialDeltas`, per (group, effective minute, hour of the call): distinct."""

    code: I32
    minute: I32
    hour: I32
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


NO_ATTEMPTS = Attempts(*(_NONE,) * 4)


class UnitTrials(NamedTuple):
    """Trials of units of evidence: differences per (group, effective minute, unit, success).

    A *unit* is the hash of a call's session, else of its parent's id (`models.join.units`). Only calls that have one
    of the two have rows; their trials are in `trials` too. As those, only ever for minutes still open. The join's rows
    may repeat, those of the group step are distinct.
    """

    code: I32
    minute: I32
    unit: U64
    success: I8
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


NO_UNITS = UnitTrials(_NONE, _NONE, np.zeros(0, np.uint64), _NONE.astype(np.int8), _NONE)


class Mark(NamedTuple):
    """Lanes -> groups: a mark, a change that was made on purpose. It goes with the arrivals and changes of one shard.

    `at`, and the watermark `wm` that it met, in us; before the join that of its lane. `contents`: by which two of one
    id are compared. `partition`, `offset`, `raw`: where it came from, and its bytes. Where `source` is set, it is none
    that was sent, but a scorer of that source, which may be new.
    """

    mark_id: str
    at: int
    task_type: str
    text: str | None
    contents: tuple[int, int, int]
    wm: int
    partition: str
    offset: int
    raw: bytes
    source: str | None = None


class Deployed(NamedTuple):
    """A mark whose effective minute has closed: an alert that is issued from then on may name it. `at` in us.

    Where `source` is set, it is the first outcome of a scorer that is new for that source.
    """

    minute: int
    at: int
    mark_id: str
    task_type: str
    text: str | None
    source: str | None = None


class CallHours(NamedTuple):
    """Hours of the calls' times, of the rows of those tables whose minutes are not their calls'.

    A call whose group has folded or not is counted with it for good, and that depends on the call's hour
    (`models.groups.admission`). So rows of different hours are not summed before the group step.
    """

    trials: I32
    responses: I32
    scores: I32
    failed: I32
    units: I32 = _NONE
    facets: I32 = _NONE
    opinion_trials: I32 = _NONE
    quarters: I32 = _NONE  # of the trials, quarters of an hour since 1970: finer than their hours


class Changes(NamedTuple):
    """Join -> groups: what one batch changed in one shard, and how far that shard has seen.

    Rows of the tables named in `hours`, but those with units or facets, are distinct together with their hour, trials
    with their quarter. `late`: per name the class of `models.stats.lateness` of the calls whose trials, values,
    statements and attempts have it; empty where all came in time. `segments`: per name that of its calls, empty texts
    for those without one; empty where none has any. Names repeat in both cases.
    """

    shard: str
    watermark: int
    names: list[Group]
    cells: CellDeltas
    latencies: LatencyDeltas
    delays: DelayDeltas
    trials: TrialDeltas
    values: Values
    sources: tuple[str, ...]
    responses: Responses
    scores: Scores
    errors: tuple[str, ...]
    failed: ErrorTrials
    hours: CallHours
    erased: tuple[int, ...] = ()
    """Keys of calls that every step must drop."""
    opinions: OpinionDeltas = NO_OPINIONS
    attempts: Attempts = NO_ATTEMPTS
    late: tuple[int, ...] = ()
    units: UnitTrials = NO_UNITS
    segments: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    rules: tuple[CheckedRule, ...] = ()
    checks: CheckDeltas = NO_CHECK_DELTAS
    facets: FacetTrials = NO_FACETS
    opinion_trials: OpinionTrials = NO_OPINION_TRIALS


class Erasure(NamedTuple):
    """Split -> join: what one shard must drop on behalf of a request, as (key, call_id); see `join.erasure`.

    It is for after the batches that this `lane` has sent before.
    """

    request: str
    shard: str
    calls: tuple[tuple[int, str], ...]
    lane: str = ""


class Erased(NamedTuple):
    """Join and sessions -> sinks: these calls, or `sessions`, are gone from a shard.

    `held`, `waiting`: how many calls the join held there, and how many outcomes waited.
    """

    request: str
    call_ids: tuple[str, ...]
    held: int
    waiting: int
    sessions: tuple[str, ...] = ()


class TrialDelays(NamedTuple):
    """Trials by how long after their call's effective minute theirs is: bucket of `minute_delays`; distinct rows."""

    code: I32
    minute: I32
    success: I8
    bucket: I16
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


class SliceTrials(NamedTuple):
    """Trials by the source whose statement decided: its text is `sources[source]`; distinct rows."""

    code: I32
    minute: I32
    source: I32
    success: I8
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


class SegmentTrials(NamedTuple):
    """Trials of calls with a segment, `segments[segment]`: differences per (group, effective minute, segment)."""

    code: I32
    minute: I32
    segment: I32
    trial_successes: I32
    trial_failures: I32


NO_TRIALS = TrialDeltas(*(_NONE,) * 7)
NO_VALUES = Values(
    _NONE, _NONE, _NONE.astype(np.int64), np.zeros(0, np.uint64), np.zeros(0), np.zeros(0), _NONE.astype(np.int64)
)
NO_RESPONSES = Responses(_NONE, _NONE, _NONE, _NONE.astype(np.int8), _NONE.astype(np.int16), _NONE, _NONE)
NO_DELAYS = TrialDelays(_NONE, _NONE, _NONE.astype(np.int8), _NONE.astype(np.int16), _NONE)
NO_SLICES = SliceTrials(_NONE, _NONE, _NONE, _NONE.astype(np.int8), _NONE)
NO_SCORES = Scores(*(_NONE,) * 5)
NO_ERRORS = ErrorTrials(*(_NONE,) * 4)
NO_SEGMENTS = SegmentTrials(*(_NONE,) * 5)


class SharedTrials(NamedTuple):
    """Trials that share a unit with others: how far the variance of a group's sums exceeds that of independent trials.

    Per (group, minute), in multiples of 1 / 64 trials: the agreement within units times the ordered pairs of trials of
    one unit that the minute brought. The drift step adds them; distinct rows.
    """

    code: I32
    minute: I32
    excess: I64


NO_SHARED = SharedTrials(_NONE, _NONE, _NONE.astype(np.int64))


class Closed(NamedTuple):
    """Groups -> drift -> routing: all that happened in minutes that have closed since the last message.

    Every minute < `through` is closed. `trials` is sorted by (minute, names[code]), `values` by (minute, at, key,
    values), the others by minute, names[code] and then further columns from left to right (sources, errors by name).
    Rows that cancelled out are dropped. `marks` are sorted too. `dated` are `trials` by the time of the call.
    `delays` and `slices` are sums of `responses.trials` over the columns they lack, and those of `trials` again.
    """

    through: int
    names: list[Group]
    trials: TrialDeltas
    values: Values
    sources: tuple[str, ...] = ()
    delays: TrialDelays = NO_DELAYS
    slices: SliceTrials = NO_SLICES
    scores: Scores = NO_SCORES
    responses: Responses = NO_RESPONSES
    errors: tuple[str, ...] = ()
    failed: ErrorTrials = NO_ERRORS
    attempts: Attempts = NO_ATTEMPTS
    units: UnitTrials = NO_UNITS
    segments: tuple[str, ...] = ()
    stratified: SegmentTrials = NO_SEGMENTS
    marks: tuple[Deployed, ...] = ()
    shared: SharedTrials = NO_SHARED
    rules: tuple[CheckedRule, ...] = ()
    checks: CheckTrials = NO_CHECKS
    facets: FacetTrials = NO_FACETS
    lengths: LengthTrials = NO_LENGTHS
    opinion_trials: OpinionTrials = NO_OPINION_TRIALS
    dated: DatedTrials = NO_DATED
