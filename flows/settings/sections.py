"""Defines the sections of `aftercall.toml`, with defaults and rules (docs/reference.md, section 6)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import combinations
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic_settings import NoDecode

from aftercall.durations import RULE, format_duration, parse_duration
from aftercall.names import plain_name
from aftercall.vocabulary import RESERVED_NAMES, RESERVED_SOURCES
from connectors.decode.aliases import Aliases, Pattern
from connectors.files.unpacking import MOST_UNPACKED
from connectors.kafka.cluster import OWN_KEYS, Cluster, may_be_secret
from flows.settings.sizes import RULE as RULE_OF_SIZES
from flows.settings.sizes import format_size, parse_size

_T = TypeVar("_T")
MOST_WATCHED: Final = 16
"""Sources that are watched by themselves: each divides their share of the promise."""


def _parsed(text: object, parse: Callable[[str], _T], rule: str) -> _T:
    if isinstance(text, str):
        with suppress(ValueError):
            return parse(text)
    raise ValueError(f"must be, in quotes, {rule}")


def _duration(value: object) -> timedelta:
    return _parsed(format_duration(value) if isinstance(value, timedelta) else value, parse_duration, RULE)


def _size(value: object) -> int:
    return _parsed(format_size(value) if isinstance(value, int) else value, parse_size, RULE_OF_SIZES)


def _above_zero(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("must be longer than 0s")
    return value


def _listed(value: object) -> object:
    # An environment variable holds text: a JSON list, or names with commas between.
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            raise ValueError("must be a JSON list, or names with commas between") from None
    return [name.strip() for name in value.split(",") if name.strip()]


def _distinct(names: list[str]) -> list[str]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"must name each once; {twice!r} is there twice")
    return names


def _watched(names: list[str]) -> list[str]:
    if len(names) > MOST_WATCHED:
        raise ValueError(f"must name at most {MOST_WATCHED} sources; it names {len(names)} (leave out the others)")
    return names


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as wrong:
        raise ValueError(f"must be a regular expression ({wrong})") from None
    return text


def _source_name(name: str) -> str:
    if name in RESERVED_SOURCES:
        raise ValueError(f"must not name {name!r}: the pipeline makes the statements of that source itself")
    return name


def _counted_name(name: str) -> str:
    if name in RESERVED_NAMES or not plain_name(name):
        raise ValueError("must be a name that calls may have: neither '*' nor '__other__', nor nothing that is visible")
    return name


def _unambiguous(aliases: dict[str, str]) -> dict[str, str]:
    patterns = [(Pattern(plain_name(name)), name) for name in aliases]
    for (one, name), (other, name_too) in combinations(patterns, 2):
        # A whole name comes before patterns. Two whole ones may be one in calls: without the blanks around them.
        rivals = one.is_glob == other.is_glob and plain_name(aliases[name]) != plain_name(aliases[name_too])
        if rivals and one.overlaps(other):
            both = f"{name!r} = {aliases[name]!r} and {name_too!r} = {aliases[name_too]!r}"
            raise ValueError(f"must not have two keys that match one name and give it different ones; {both} do")
    known = Aliases(aliases)
    for name, target in aliases.items():
        counted = known.of(plain_name(target))
        if counted != plain_name(target):
            raise ValueError(
                f"must not have an alias of an alias; {name!r} = {target!r}, which in turn is {counted!r}: let "
                f"{name!r} be {counted!r}"
            )
    return aliases


Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(format_duration, return_type=str)]
Size = Annotated[int, BeforeValidator(_size), Field(gt=0), PlainSerializer(format_size)]
"""Bytes."""
Span = Annotated[Duration, AfterValidator(_above_zero)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Source = Annotated[Name, AfterValidator(_source_name)]
Names = Annotated[list[Name], BeforeValidator(_listed), AfterValidator(_distinct), NoDecode]
Sources = Annotated[list[Source], BeforeValidator(_listed), AfterValidator(_distinct), NoDecode]
Patterns = Annotated[list[Annotated[str, AfterValidator(_pattern)]], BeforeValidator(_listed), NoDecode]
Aliased = Annotated[dict[Name, Annotated[Name, AfterValidator(_counted_name)]], AfterValidator(_unambiguous)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class Section(BaseModel):
    """A section of the file; it is frozen and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Join(Section):
    """How long calls and outcomes wait for each other."""

    horizon: Span = timedelta(days=30)
    allowed_lateness: Duration = timedelta(hours=1)
    orphan_wait: Duration = timedelta(hours=24)
    session_wait: Duration = timedelta(minutes=5)
    """How long after an outcome of a session its calls are found, if `allowed_lateness` is not less."""
    max_future_skew: Duration = timedelta(minutes=5)
    idle_after: Span = timedelta(seconds=60)
    max_lead: Span = timedelta(hours=1)
    max_groups: int = Field(default=100_000, ge=1)
    max_groups_per_task: int = Field(default=2_000, ge=1)
    max_task_types: int = Field(default=1_000, ge=1)
    max_waiting: int = Field(default=5_000_000, ge=12)
    max_sessions: int = Field(default=5_000_000, ge=12)
    id_form: Literal["text", "uuid"] = "text"
    """How ids of calls and outcomes are read: as they are, or as UUIDs where they are some in another spelling."""


class Alias(Section):
    """Names that count as others: by name or glob, the name that counts."""

    task: Aliased = {}
    model: Aliased = {}
    config: Aliased = {}

    def apart(self) -> dict[str, frozenset[str]]:
        """By kind, the names that are an alias of themselves: they are alike, and known to be different things."""
        kinds = {kind: getattr(self, kind) for kind in type(self).model_fields}
        return {
            kind: frozenset(name for name, target in names.items() if name == target) for kind, names in kinds.items()
        }


class Drift(Section):
    """The promised false-alarm rate, and when a group is watched."""

    false_alarms_per_1000_groups_per_week: float = Field(default=1.0, gt=0)
    warmup: Duration = timedelta(hours=72)
    min_trials: int = Field(default=30, ge=1)
    margin: float = Field(default=0.0, ge=0, lt=1)
    margin_above_per_day: float = Field(default=300, ge=0)
    new_normal_after: Span = timedelta(days=7)
    sources: Annotated[Sources, AfterValidator(_watched)] = []
    """Those whose success rates are watched by themselves, whatever decides the verdicts."""


class Routing(Section):
    """When recommendations are issued, and how far they explore."""

    every: Span = timedelta(minutes=15)
    valid_for: Span = timedelta(hours=6)
    floor: float = Field(default=0.01, ge=0, le=0.5)
    min_evidence: int = Field(default=30, ge=1)
    memory: Span = timedelta(days=7)
    restarts_per_arm_per_week: float = Field(default=0.1, ge=0, le=10)
    """How often an arm whose rate has not changed may be taken for one whose has; it alerts no person."""
    max_arms: int = Field(default=200, ge=2)
    """How many arms of a task type compete: those with most calls."""
    retire_after: Span = timedelta(hours=24)
    """An arm without a call for so long gets no weight, if at least 20 were due to it."""

    @model_validator(mode="after")
    def _outlives_the_next(self) -> Self:
        if self.valid_for < self.every:
            raise ValueError("has valid_for shorter than every: routers would be without a recommendation in between")
        return self


class Snapshot(Section):
    """How often the DuckDB snapshot is published, and what it holds."""

    every: Span = timedelta(seconds=60)
    keep: int = Field(default=3, ge=1)
    calls: Literal["all", "decided", "none"] = "all"
    tools: Literal["failed", "all", "none"] = "failed"
    tool_errors: Literal["kind", "text"] = "kind"
    """Which tool calls have rows; `failed`: those with which not all was well. Their rates count all of them."""
    checks: Literal["failed", "all", "none"] = "failed"
    """Of which results of rules of contracts there are rows; `failed`: also of errors. Their rates count all."""
    mode: str | None = Field(default=None, pattern=r"^0[0-7]{3}$")
    """Rights of its files, such as 0440; absent: those that the umask leaves, without the right to write."""
    memory_mb: int = Field(default=256, ge=64)
    """Memory that DuckDB may use to write it, in MB; beyond that it spills to disk."""

    @property
    def rights(self) -> int | None:
        """`mode` as a number."""
        return None if self.mode is None else int(self.mode, 8)


class Retention(Section):
    """How long rows stay (rows of a call: after its closing). Absent: for ever in a replay; else see `on_kafka`."""

    calls: Span | None = None
    statements: Span | None = None
    hourly: Span | None = None
    dead_letters: Span | None = None
    alerts: Span | None = None
    recommendations: Span | None = None

    def on_kafka(self) -> Retention:
        """With the defaults of a service, which runs for ever: calls and statements 30 d, hourly rates 90 d."""
        defaults = {"calls": timedelta(days=30), "statements": timedelta(days=30), "hourly": timedelta(days=90)}
        absent = {name: span for name, span in defaults.items() if getattr(self, name) is None}
        return self.model_copy(update=absent)


class Privacy(Section):
    """Whether inputs and outputs are kept, and the regular expressions whose matches are redacted."""

    keep_payloads: bool = False
    redact: Patterns = []


class Topics(Section):
    """Names of the topics."""

    calls: Topic = "agent.calls"
    outcomes: Topic = "agent.outcomes"
    marks: Topic = "agent.marks"
    verdicts: Topic = "agent.verdicts"
    recommendations: Topic = "agent.recommendations"
    trust: Topic = "agent.trust"
    alerts: Topic = "agent.alerts"
    checks: Topic = "agent.checks"
    dead_letters: Topic = "agent.dead-letters"
    claims: Topic = "agent.claims"

    @model_validator(mode="after")
    def _all_different(self) -> Self:
        _distinct(list(self.model_dump().values()))
        return self


class Kafka(Section):
    """Where the broker is; `librdkafka` goes to the client, except for keys that the pipeline sets itself."""

    brokers: str = Field(default="localhost:9092", min_length=1)
    group_id: Name = "aftercall"
    topics: Topics = Topics()
    lanes: int = Field(default=6, ge=1, le=64)
    """Consumers, over all processes; part of the state. Partition p of either topic belongs to lane p % lanes."""
    librdkafka: dict[str, str | bool | int | float] = Field(default={}, repr=False)
    librdkafka_files: dict[str, Annotated[str, Field(min_length=1)]] = {}
    """Keys whose value is read from a file, such as a mounted secret."""

    @model_validator(mode="after")
    def _no_key_of_ours(self) -> Self:
        for table in ("librdkafka", "librdkafka_files"):
            for key in sorted(OWN_KEYS.keys() & getattr(self, table).keys()):
                raise ValueError(f"may not have {key} under {table}: {OWN_KEYS[key]}")
        return self

    @model_validator(mode="after")
    def _no_key_twice(self) -> Self:
        for key in sorted(self.librdkafka.keys() & self.librdkafka_files.keys()):
            raise ValueError(f"has {key} under librdkafka and under librdkafka_files: it must be under one of them")
        return self

    def cluster(self) -> Cluster:
        """The settings as the connectors take them."""
        return Cluster(
            brokers=self.brokers,
            group_id=self.group_id,
            librdkafka=self.librdkafka,
            librdkafka_files=self.librdkafka_files,
        )

    def shown(self) -> dict[str, Any]:
        """The values as they may be printed: possible secrets are masked."""
        hidden = {key: "***" for key in self.librdkafka if may_be_secret(key)}
        plain = self.model_dump(mode="json")
        return {**plain, "librdkafka": {**self.librdkafka, **hidden}}


class Recovery(Section):
    """How often the state is stored; after a crash at most this much work is repeated."""

    epoch: Span = timedelta(seconds=10)
    segment_kb: int = Field(default=64, ge=1, le=1_000_000)
    """Parts of a large state that together weigh more than this become a file of their own."""


class Limits(Section):
    """How much a run may take; what takes more ends in a sentence before it fills a disk."""

    unpacked: Size = MOST_UNPACKED
    """Bytes that all compressed files of a replay may have unpacked, together."""


class Service(Section):
    """Where a running pipeline keeps its files, where it answers probes, and what it logs."""

    folder: str = Field(default="aftercall-data", min_length=1)
    """Holds `outcomes.duckdb`, and `state/`, which belongs to this pipeline alone."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=9464, ge=0, le=65_535)
    """Of process 0; process i listens on `port` + i. 0: no process listens."""
    stalled_after: Span = timedelta(seconds=60)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    state_key_file: str | None = Field(default=None, min_length=1)
    """A file of 16 to 64 random bytes, with which the checksums of stored state are made, so that only who has it can
    make state that is accepted. Without one, checksums find damage alone."""
