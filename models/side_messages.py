"""Holds the messages that only few steps read, carried by those of `models.messages`; columns, as those.

What rules of contracts found, and what the join asks of contracts; trials of watched sources, and of calls with facets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np

from models.arrays import F64, I8, I16, I32, I64, U32, U64, Bools, Objects

GroupName = tuple[str, str, str]
"""A group of `models.messages`: that stands above this."""
_NONE: I32 = np.zeros(0, np.int32)


class CheckedRule(NamedTuple):
    """A rule of a contract's version, and the dimension of trust that its checks are evidence of."""

    contract: str
    version: str
    rule: str
    dimension: str


class CheckDeltas(NamedTuple):
    """Results of rules: differences per (group, effective minute, hour of the call, rule); distinct rows.

    `rule` indexes the message's `rules`. `not_applicable` may be negative: a record that completes a call may bring
    what a rule needs, which is then judged after all. The others only ever grow.
    """

    code: I32
    minute: I32
    hour: I32
    rule: I32
    passed: I32
    failed: I32
    not_applicable: I32
    errors: I32


NO_CHECK_DELTAS = CheckDeltas(*(_NONE,) * 8)


class CheckTrials(NamedTuple):
    """Checks of calls by rules, `rules[rule]` of the message, per (group, effective minute, rule): distinct rows."""

    code: I32
    minute: I32
    rule: I32
    passed: I32
    failed: I32


NO_CHECKS = CheckTrials(*(_NONE,) * 5)


class CheckRow(NamedTuple):
    """What one rule of a contract found about a call."""

    call_id: str
    call_at: int
    group: GroupName
    contract: str
    version: str
    rule: str
    type: str
    severity: str
    result: str
    actual: float | str | None
    threshold: float | str | None
    details: str


class SessionFinding(NamedTuple):
    """What one rule over sessions found about a call; `kept`: whether a row of it is."""

    rule: CheckedRule
    type: str
    severity: str
    result: str
    actual: float | str | None
    threshold: float | str | None
    details: str
    kept: bool


class SessionCheck(NamedTuple):
    """Sessions -> join: what the rules of one version of a contract found about a call of a session.

    Attributes:
        key: xxh3_64 of the call's id.
        call_id: the id.
        session: xxh3_64 of the session's id.
        group: what the call's first record with this session counts for.
        at: of this record, us.
        minute: in which the results take effect.
        passed: a call that closes there or later is still open for them, us.
        found: of each rule.
    """

    key: int
    call_id: str
    session: int
    group: GroupName
    at: int
    minute: int
    passed: int
    found: tuple[SessionFinding, ...]


class Uses(NamedTuple):
    """How many calls one version of a contract has judged, and the times of the first and the last of these, us."""

    contract: str
    version: str
    calls: int
    first_at: int
    last_at: int


class ContractFailure(NamedTuple):
    """A violation of a contract that is a failure of the call: the id of its statement, and which rules, and why."""

    outcome_id: str
    reason: str


class CountedCalls(NamedTuple):
    """How many calls there are by group, effective minute and hour of the call: distinct rows, in this order."""

    group: I32
    minute: I32
    hour: I32
    calls: I32


class JudgedCalls(NamedTuple):
    """Calls that were accepted, and are judged by their first records.

    Attributes:
        record: places of the records in the batch.
        group: of the calls, as codes of the shard.
        names: the groups by code.
        at: of the calls, us.
        minute: in which the results take effect.
        counted: these calls as the join has counted them; None where they are to be counted.
    """

    record: I64
    group: I32
    names: Sequence[GroupName]
    at: I64
    minute: I32
    counted: CountedCalls | None = None


class CompletedCalls(NamedTuple):
    """Calls that records of a batch complete, and are judged by what these bring; columns as in `JudgedCalls`.

    Attributes:
        had: what the calls had before, as bits.
        latency_ms: of the calls, where these records bring it; else nan.
    """

    record: I64
    group: I32
    names: Sequence[GroupName]
    at: I64
    minute: I32
    had: U32
    latency_ms: F64


class Checked(NamedTuple):
    """What rules found in a batch: rows to keep, differences by codes of the shard, and the rules that these index."""

    rows: list[CheckRow]
    rules: Sequence[CheckedRule]
    deltas: CheckDeltas
    uses: list[Uses]
    disagreed: int
    """Rules of which the producer said pass or fail, and the pipeline the other."""


class JudgedBatch(Protocol):
    """What contracts make of the call records of one batch; a record is a first one, or completes its call."""

    states: Bools
    """Per record, whether it is a failure of its call if it is the first one."""

    @property
    def may_state(self) -> Bools:
        """Per record, whether it might be where it completes a call; mostly not."""

    def failures(self, record: int) -> list[ContractFailure]:
        """What is a failure of the call of a first record."""

    def completing(self, record: int, group: GroupName, at: int, had: int, latency_ms: float) -> list[ContractFailure]:
        """The same of a record that completes a call: of the rules that had lacked something, and lack nothing now."""

    def checked(self, first: JudgedCalls, completing: CompletedCalls) -> Checked:
        """All results, of records that were accepted."""


class ToolPaths(NamedTuple):
    """What calls did with their tools, as numbers.

    Attributes:
        token: of the numbers: where it is equal, equal numbers are paths that are equal in `CODED_OF_TOOLS`.
        path: per call; 0 of a call whose tool calls have no number, or that has none.
    """

    token: int
    path: I64


class CallsToJudge(Protocol):
    """What is judged of the calls of a batch; columns of the join, see `models.join.arrivals.CallColumns`."""

    @property
    def at(self) -> I64:
        """Their times, us."""

    @property
    def group(self) -> I32:
        """Codes of their groups."""

    @property
    def filled(self) -> U32:
        """Which fields they have, as bits of `FILLED_ONCE`."""

    @property
    def latency_ms(self) -> F64:
        """Their latencies, or nan."""

    @property
    def cost_nano(self) -> I64:
        """Their costs in nano-dollars, or -1."""

    @property
    def tokens_out(self) -> F64:
        """Tokens of their outputs, or nan."""

    @property
    def records(self) -> Objects:
        """The decoded records."""


class Judge(Protocol):
    """Judges the records of batches, whatever becomes of them; it has no state."""

    def in_force(self, contract: str, version: str, group: GroupName, at: int) -> bool:
        """Whether a version of a contract judges calls of a group at a time, us."""

    def judge(
        self, groups: Sequence[GroupName], calls: CallsToJudge, texts: Objects | None, paths: ToolPaths | None
    ) -> JudgedBatch:
        """Judge a batch; `groups` by code of its calls, `texts`: what the lane has found in them, `paths`: of tools."""


class OpinionTrials(NamedTuple):
    """What watched sources say (`[drift] sources`): differences per (group, effective minute, source, success, ...).

    As a trial, an opinion differs at the end of its minute from that at the end of the one before; whatever decides,
    and only for minutes still open. `bucket`: of `minute_delays`. `unit`: as in `UnitTrials`, 0 for none. `source`
    indexes the message's `sources`. The join's rows may repeat, those of the group step are distinct.
    """

    code: I32
    minute: I32
    source: I32
    success: I8
    bucket: I16
    unit: U64
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


NO_OPINION_TRIALS = OpinionTrials(
    *(_NONE,) * 3, _NONE.astype(np.int8), _NONE.astype(np.int16), np.zeros(0, np.uint64), _NONE
)


class FacetTrials(NamedTuple):
    """Trials of calls with facets (`aftercall.facets`): differences per (group, effective minute, facets, success).

    Only calls that have any have rows; otherwise as `UnitTrials`.
    """

    code: I32
    minute: I32
    facets: U32
    success: I8
    count: I32  # type: ignore[assignment]  # a column, not the method of tuples


NO_FACETS = FacetTrials(_NONE, _NONE, np.zeros(0, np.uint32), _NONE.astype(np.int8), _NONE)


class Restart(NamedTuple):
    """A change of an arm's success rate that routing acts on, be it alerted or not. Times in us.

    `group` is an arm, never a roll-up. `at`: end of the effective minute at which the statistic passed the threshold of
    routing; `changed_at`: the most likely time of the change.
    """

    group: GroupName
    at: int
    changed_at: int
    direction: Literal["up", "down"]


class DatedTrials(NamedTuple):
    """Net changes of trials per (group, effective minute, quarter of an hour of the call's own time); distinct rows.

    `successes`, `failures`, `calls` as in `models.messages.TrialDeltas`: summed over `quarter`, which is the number of
    quarters of an hour since 1970 UTC, they are those. A verdict that no longer stands leaves the quarter it was in.
    """

    code: I32
    minute: I32
    quarter: I32
    successes: I32
    failures: I32
    calls: I32


NO_DATED = DatedTrials(*(_NONE,) * 6)


class LengthTrials(NamedTuple):
    """Drift -> alerts: trials of calls in units, by how many outcomes their unit had by the end of the minute.

    Per (group, minute, place in `aftercall.facets.LENGTH_BOUNDS`), distinct rows in the order of minutes.
    """

    code: I32
    minute: I32
    length: I32
    failures: I32
    trials: I32


NO_LENGTHS = LengthTrials(*(_NONE,) * 5)
