"""What the oracle reads: records in plain Python, parsed by hand and independently of the pipeline's own decoders."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from oracle.facets import facets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oracle.contracts import OracleContract

UNKEPT = (
    "parent_call_id",
    "tool_calls",
    "policy_version",
    "input",
    "output",
    "recommendation_id",
    "propensity",
    "rollout",
)
"""Optional fields of a call of which the oracle only notes that they are there."""
NEVER = -(2**63)
"""The watermark before every partition has a record."""
MINUTE_US = 60_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Rules:
    """The settings that decide verdicts; durations in microseconds.

    `silence` maps a task type to "success" or "failure"; each of its task types is in `task_horizon_us` too.
    A source in `fail_at` succeeds below its bound; any other one at or above `pass_at`, where it has none 0.7
    of its `scale`.
    """

    horizon_us: int = 30 * 86_400_000_000
    allowed_lateness_us: int = 3_600_000_000
    orphan_wait_us: int = 86_400_000_000
    precedence: tuple[str, ...] = ()
    pass_at: Mapping[str, float] = field(default_factory=dict)
    fail_at: Mapping[str, float] = field(default_factory=dict)
    task_horizon_us: Mapping[str, int] = field(default_factory=dict)
    silence: Mapping[str, str] = field(default_factory=dict)
    revises: frozenset[str] = frozenset()
    """Sources with `same_id = "revises"`."""
    abstain: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Scores from the first to the second, both included, say nothing."""
    combine: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """The ends of a source's scores; 0 and 1 where it has none."""
    require: tuple[str, ...] = ()
    task_require: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    completes: bool = True
    """Whether a second record of a call may complete the first; not so of calls that a state of before brought."""
    most_waiting: int | None = None
    """So many outcomes may wait in each of the twelve shards; None: any number."""
    aliases: Mapping[str, dict[str, str]] = field(default_factory=dict)
    """By field of a call: by name or glob, the name that counts."""
    segments: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By task type, those whose rates are kept; all others of it are one."""
    ids_as_uuids: bool = False
    """Ids of calls and outcomes are read as UUIDs where they are some in another spelling."""
    contracts: tuple[OracleContract, ...] = ()
    """All versions of all contracts."""
    severe: frozenset[str] = frozenset({"critical"})
    """Of which severities a violation is a failure of its call."""
    session_wait_us: int = 300_000_000
    most_reached: int = 1000
    """So many calls may take part in one outcome of a session."""
    most_ids: int = 1000
    """So many outcomes of a session are remembered."""
    most_calls: int = 10_000
    """So many calls of a session are known."""

    @property
    def unlearned(self) -> str | None:
        """The source whose trials say nothing of how long others take."""
        return "contract" if self.contracts and self.severe else None

    def horizon_of(self, task_type: str) -> int:
        """Horizon of a task type, in microseconds."""
        return self.task_horizon_us.get(task_type, self.horizon_us)

    def required(self, task_type: str) -> tuple[str, ...]:
        """The sources that must all say success; a task type's own list replaces the general one."""
        return self.task_require.get(task_type, self.require)

    def counted_segment(self, task_type: str, segment: str | None) -> str | None:
        """The segment under which calls of a task type are counted; None: they are counted under none."""
        if task_type not in self.segments or segment is None:
            return None
        return segment if segment in self.segments[task_type] else "__other__"

    def longest_horizon(self) -> int:
        """The longest configured horizon, in microseconds."""
        return max([self.horizon_us, *self.task_horizon_us.values()])


@dataclass(frozen=True)
class Attempt:
    """One of `attempts`; `config` None is that of the call."""

    model: str
    config: str | None = None
    error: str | None = None
    latency_ms: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True)
class Call:
    """An `AgentCall`, `at` in microseconds since 1970 UTC."""

    call_id: str
    at: int
    task_type: str = "task"
    model: str = "model"
    config: str = "default"
    segment: str | None = None
    error: str | None = None
    session_id: str | None = None
    latency_ms: float | None = None
    cost_usd: float | None = None
    tokens: int | None = None
    attrs: Mapping[str, Any] | None = None
    sent: tuple[str, ...] = ()
    """Its names as they were read, before aliases: see `oracle.names.counted`."""
    attempts: tuple[Attempt, ...] = ()
    unkept: frozenset[str] = frozenset()
    """Names of the other optional fields that it has; their values are kept nowhere."""
    parent_call_id: str | None = None
    """For sessions alone."""
    raw: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    """The record itself, for contracts."""
    facets: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)
    """Those of this record: see `oracle.facets`."""

    def sent_as(self, name: str) -> Any:
        """A field as it was read, before aliases."""
        return dict(zip(("task_type", "model", "config"), self.sent, strict=False)).get(name, getattr(self, name))

    def deciding(self) -> tuple[Any, ...]:
        """The fields in which a duplicate equals the first record of its id."""
        return (self.at, *(self.sent or (self.task_type, self.model, self.config)), self.segment, self.error)


@dataclass(frozen=True)
class Outcome:
    """An `Outcome`, that is a statement or a retraction; times in microseconds since 1970 UTC."""

    outcome_id: str
    call_id: str
    at: int
    source: str = "user_feedback"
    success: bool | None = None
    score: float | None = None
    action: str = "assert"
    retracts: str | None = None
    reason: str | None = None
    call_at: int | None = None
    author: str | None = None
    scorer: str | None = None
    edition: int = 1
    """Its number among the records of its id, given as it enters a ledger."""

    @property
    def bare(self) -> bool:
        """Whether it clears a vote without saying `retract`."""
        return self.action == "assert" and self.success is None and self.score is None

    def deciding(self) -> tuple[Any, ...]:
        """The fields in which a duplicate equals a record of its id."""
        return (self.at, *self.content())

    def content(self) -> tuple[Any, ...]:
        """What it says, whenever it was said: all of these but its time."""
        action = "retract" if self.bare else self.action
        return (self.source, self.author, self.success, self.score, action, self.retracts)


Record = Call | Outcome
IDS = ("call_id", "outcome_id", "retracts", "session_id", "parent_call_id", "author")


def labels(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The labels that are neither nested nor too long."""
    return {
        name: value for name, value in attrs.items() if not isinstance(value, dict | list) and len(str(value)) <= 256
    }


def _without_tools(raw: Mapping[str, Any]) -> set[str]:
    """A number of tool calls, or none, says nothing of what they did: another record may."""
    return set() if isinstance(tools := raw.get("tool_calls"), list) and tools else {"tool_calls"}


def _judged(raw: Mapping[str, Any]) -> set[str]:
    """What `checks` of a producer found stands for the texts that it found it in."""
    return {"input", "output"} if raw.get("checks") else set()


def micros(text: str) -> int:
    """Microseconds since 1970 UTC of an RFC 3339 time."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def parse(kind: str, line: bytes) -> Record:
    """Read one valid JSON line of a file of `kind` "calls" or "outcomes".

    Null and empty text mean absent, an integer is as good an id as its digits, a label is one text or number.
    """
    raw = {name: value for name, value in json.loads(line).items() if value is not None and value != ""}
    raw |= {name: str(raw[name]) for name in IDS if name in raw}
    at = micros(raw["occurred_at"])
    if kind == "calls":
        parts = [int(raw[name]) for name in ("tokens_in", "tokens_out") if name in raw]
        return Call(
            call_id=raw["call_id"],
            at=at,
            task_type=raw["task_type"],
            model=raw["model"],
            config=raw.get("config", "default"),
            segment=raw.get("segment"),
            error=raw.get("error"),
            session_id=raw.get("session_id"),
            latency_ms=raw.get("latency_ms"),
            cost_usd=raw.get("cost_usd"),
            tokens=int(raw["tokens"]) if "tokens" in raw else sum(parts) if parts else None,
            attrs=labels(raw["attrs"]) if "attrs" in raw else None,
            attempts=tuple(
                Attempt(**{k: v for k, v in one.items() if v is not None}) for one in raw.get("attempts", ())
            ),
            unkept=frozenset(UNKEPT) & ((raw.keys() - _without_tools(raw)) | _judged(raw)),
            parent_call_id=raw.get("parent_call_id"),
            raw=raw,
            facets=frozenset(facets(raw).items()),
        )
    return Outcome(
        outcome_id=raw["outcome_id"],
        call_id=raw["call_id"],
        at=at,
        source=raw["source"],
        success=raw.get("success"),
        score=raw.get("score"),
        action=raw.get("action", "assert"),
        retracts=raw.get("retracts"),
        reason=raw.get("reason"),
        scorer=raw.get("scorer"),
        call_at=micros(raw["call_occurred_at"]) if "call_occurred_at" in raw else None,
        author=raw.get("author"),
    )
