"""Defines the records that the pipeline publishes: verdicts, recommendations, alerts and dead letters.

The records are those of docs/reference.md, section 3. Build one with `Alert.sealed(...)`, which computes its `event_id`
from its content, and refuses unknown fields; read one with `Alert.parse(data)`, which ignores fields that a newer
pipeline has added.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from aftercall.times import EPOCH, parse_time

Verdict = Literal["pending", "success", "failure", "expired"]
AlertState = Literal["opened", "updated", "closed"]
Severity = Literal["info", "warning", "critical"]
Direction = Literal["up", "down"]
ArmStatus = Literal["ok", "exploring", "degraded", "over_limit", "pinned", "silent", "retired"]

DEAD_LETTER_REASONS: dict[str, str] = {
    "not_utf8": "the bytes are not UTF-8",
    "not_json": "the text is not one JSON value",
    "not_object": "the JSON value is not an object",
    "too_deep": "the JSON is nested too deep",
    "too_large": "the record is over 1 MiB",
    "missing_field": "a required field is absent, null or empty",
    "wrong_type": "a field has another type than the reference gives it",
    "too_long": "a text is over its limit, or there are more than 32 attempts or 64 checks",
    "not_finite": "a number is NaN or infinite",
    "negative": "a number that cannot be negative is",
    "out_of_range": "a number is beyond its bounds",
    "bad_time": "a time is not RFC 3339 with seconds and an offset",
    "before_2000": "a time lies before the year 2000",
    "future": "the record is further ahead of the wall clock than max_future_skew",
    "type_mismatch": "`type` contradicts the topic or file",
    "no_verdict": "an outcome has neither success nor score, and clears no earlier one",
    "empty_retraction": "a retraction names neither a target nor a source",
    "reserved_source": "`call`, `silence` and `__other__` are the pipeline's own sources",
    "reserved_name": "`*` and `__other__` as names, and `session:` before an `outcome_id`, are the pipeline's own",
    "ambiguous_subject": "an outcome names both a call and a session, which only `scope` `descendants` may",
    "truncated": "the last line of a file is half-written",
    "conflict": "an id that is held already came again with other content",
    "late": "the statement lies after its call's horizon, or came after the call had closed",
    "too_old": "the call came after it would have closed",
    "orphan": "no call appeared for the outcome within orphan_wait",
    "erased": "the outcome waited for a call that was erased",
    "refused_output": "the broker refused a record that the pipeline wrote",
    "redriven": "no refusal: the record of the dead letter `redriven_of` was sent again",
}
"""Every slug that a dead letter's `reason` may be, and its meaning."""

_UNSEALED = "0" * 32


def _utc(value: object) -> datetime:
    # Numbers are refused: pydantic would guess whether they are seconds or milliseconds.
    if isinstance(value, str):
        return EPOCH + timedelta(microseconds=parse_time(value))
    if not isinstance(value, datetime):
        raise ValueError(f"a time is an aware datetime or RFC 3339 text; got {type(value).__name__}")  # noqa: TRY004 - pydantic turns only ValueError into a refusal
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        raise ValueError(f"a time needs a zone; got {value.isoformat()} (use datetime.UTC)")
    return value.astimezone(UTC)


Time = Annotated[datetime, BeforeValidator(_utc)]
"""An instant in UTC; RFC 3339 with `Z` in JSON."""
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""128 bits in lower-case hex."""
Share = Annotated[float, Field(ge=0, le=1)]


def content_hash(*parts: bytes | str | int | None) -> str:
    """A 128-bit BLAKE2b hash of `parts`, in hex; `None`, `""` and moved boundaries all differ.

    >>> content_hash("a", None) == content_hash("a", "")
    False
    >>> content_hash("ab", "c") == content_hash("a", "bc")
    False
    """
    digest = blake2b(digest_size=16)
    for part in parts:
        if part is None:
            digest.update(b"-;")
            continue
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(b"%d;" % len(data))
        digest.update(data)
    return digest.hexdigest()


def alert_id(
    kind: str, group: tuple[str, str | None, str | None], metric: str, direction: Direction, ordinal: int
) -> str:
    """The id of the `ordinal`-th alert of this kind, group, metric and direction: the same in every run."""
    return content_hash(kind, *group, metric, direction, ordinal)


def seal_json(body: bytes) -> bytes:
    """Put `event_id` in front of the JSON of a record that has none.

    It is for hot paths that write the JSON themselves; same fields in the same order and the same number format give
    the same bytes as `to_json(Model.sealed(...))`.

    Args:
        body: compact JSON of a non-empty object, fields in the order of the model, without `event_id`.
    """
    return b'{"event_id":"%s",%s' % (blake2b(body, digest_size=16).hexdigest().encode(), body[1:])


class Part(BaseModel):
    """A piece of a record: frozen, finite numbers, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")


class Record(Part):
    """A record on a topic. Two records with equal content have equal `event_id`, so exact repeats can be dropped."""

    key_field: ClassVar[str | None] = None
    """The field that is the Kafka record's key; None where the key is the original record's."""

    event_id: Hash = Field(description="BLAKE2b-128 of the record's compact JSON without this field")

    @classmethod
    def sealed(cls, **fields: Any) -> Self:
        """Build a record and give it the `event_id` of its content.

        Raises:
            pydantic.ValidationError: a field is missing, unknown or of the wrong type.
        """
        draft = cls(event_id=_UNSEALED, **fields)
        return draft.model_copy(update={"event_id": blake2b(_body(draft), digest_size=16).hexdigest()})

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read a record's JSON, ignoring fields that only a newer pipeline has."""
        return cls.model_validate_json(data, extra="ignore")


def _body(record: Record) -> bytes:
    return record.__pydantic_serializer__.to_json(record, exclude={"event_id"})


def to_json(record: Record) -> bytes:
    """The record as compact UTF-8 JSON, fields in the order of the model."""
    return record.__pydantic_serializer__.to_json(record)


class VerdictRecord(Record):
    """The current verdict on a call and the statement it rests on; topic `agent.verdicts`."""

    key_field: ClassVar[str | None] = "call_id"

    seq: int = Field(ge=0, description="statements in the call's ledger, plus 1 once closed; the greatest is current")
    call_id: str
    task_type: str
    model: str
    config: str
    verdict: Verdict
    score: float | None = Field(description="as the deciding statement gave it")
    source: str | None = Field(description="of the deciding statement; `call`: its own error, `silence`: no complaint")
    outcome_id: str | None = Field(description="of the deciding statement; null for `call` and `silence`")
    reason: str | None
    decided_at: Time | None = Field(description="time of the deciding statement; null where nothing stands")
    age_s: float | None = Field(description="seconds from the call to decided_at; negative where it came before")


class Arm(Part):
    """One model and configuration that a call may be sent to."""

    model: str
    config: str
    weight: Share = Field(description="final probability of drawing this arm: the propensity to log")
    p_best: Share | None = Field(description="probability that no other arm is better, before floors and limits")
    rate: Share | None = Field(description="success rate believed now; null without evidence")
    rate_low: Share | None
    rate_high: Share | None
    n: int = Field(ge=0, description="resolved calls of the segment behind the rate, older ones discounted")
    status: ArmStatus = Field(description="the first that holds: pinned, retired, over_limit, silent, degraded, ...")


class Segment(Part):
    """The arms of one declared segment of a task type, or of all its calls (`segment` null)."""

    segment: str | None
    arms: list[Arm]

    @model_validator(mode="after")
    def _weights_sum_to_one(self) -> Self:
        total = sum(arm.weight for arm in self.arms)
        if self.arms and abs(total - 1) > 1e-6:
            raise ValueError(f"the weights of segment {self.segment!r} must sum to 1; they sum to {total!r}")
        return self


class Degraded(Part):
    """A model (`config` null) or a configuration that does worse than before."""

    model: str
    config: str | None
    reason: str
    alert_id: Hash | None


class Recommendation(Record):
    """Where the next calls of a task type should go; topic `agent.recommendations`."""

    key_field: ClassVar[str | None] = "task_type"

    seq: int = Field(ge=1, description="recommendations issued for this task type so far")
    recommendation_id: Hash = Field(description="hash of the content; log it with the call that followed it")
    task_type: str
    issued_at: Time = Field(description="event time")
    valid_until: Time
    segments: list[Segment]
    degraded: list[Degraded]
    reason: str

    @classmethod
    def sealed(cls, **fields: Any) -> Self:
        """Build a recommendation; computes `recommendation_id`, too, unless it is given."""
        if "recommendation_id" in fields:
            return super().sealed(**fields)
        draft = cls(event_id=_UNSEALED, recommendation_id=_UNSEALED, **fields)
        return super().sealed(recommendation_id=content_hash(_body(draft)), **fields)


class Slice(Part):
    """One value of one dimension within an alert's scope: how its rate changed, and its share of the failures."""

    dimension: Literal["task_type", "model", "config", "source", "error"]
    value: str
    baseline: Share | None = Field(
        description="success rate before the change, of an error the share not failed by it; null without trials"
    )
    current: Share | None = Field(description="the same since the change; null without trials")
    trials: int = Field(ge=0, description="since the change")
    share: float = Field(description="of the failures that the change costs; the shares of a dimension sum to 1")


class SplitPart(Part):
    """A part of a change of a success rate; those of `split` sum to the change of the plain rates."""

    dimension: Literal[
        "task_type", "model", "config", "segment", "within", "tokens_in", "tools", "language", "session_length"
    ] = Field(description="by whose mix the rate changed; `within`: by the rates of the finest strata themselves")
    points: float = Field(description="what the part alone changes the success rate by")
    low: float = Field(description="interval of `points` of 99 %, for independent outcomes")
    high: float
    value: str | None = Field(description="the value with most of it; null for `within`, and for calls without one")
    share_before: Share | None = Field(description="of that value in the outcomes before; null for `within`")
    share_since: Share | None = Field(description="the same since the change")


class OtherAlarm(Part):
    """Something else that changed within an alert's scope at the same time, and has no alert of its own."""

    kind: str
    metric: str
    direction: Direction
    task_type: str = Field(description="`*`: all task types")
    model: str | None = Field(description="null: all models")
    config: str | None = Field(description="null: all configs")
    baseline: float | None = Field(description="the metric before the change")
    current: float | None = Field(description="the metric since the change")
    changed_at: Time = Field(description="estimate of when it changed")
    promised: bool = Field(description="whether it falls under the promise on false alarms")
    over: bool = Field(description="whether the change is over")
    text: str = Field(description="what changed, in words")


class NamedMark(Part):
    """The mark nearest before an alert's change: something that was changed on purpose, and need not be its cause."""

    mark_id: str
    occurred_at: Time
    task_type: str = Field(description="`*`: all task types")
    text: str | None
    source: str | None = Field(default=None, description="whose scorer is new; null for marks that were sent")


class Alert(Record):
    """Something changed, or ended; topic `agent.alerts`. One cause has one alert."""

    key_field: ClassVar[str | None] = "alert_id"

    seq: int = Field(ge=1, description="records issued for this alert so far")
    alert_id: Hash = Field(description="hash of kind, group, metric, direction and ordinal")
    state: AlertState
    kind: str
    severity: Severity
    opened_at: Time
    updated_at: Time
    closed_at: Time | None
    task_type: str = Field(description="`*`: all task types")
    model: str | None = Field(description="null: all models")
    config: str | None = Field(description="null: all configs")
    metric: str
    direction: Direction
    baseline: float | None = Field(description="the metric before the change")
    current: float | None = Field(description="the metric since the change")
    effect_low: float | None = Field(description="interval of current minus baseline")
    effect_high: float | None
    changed_at: Time | None = Field(description="estimate of when it changed")
    promise: str | None = Field(description="the false-alarm promise this alert falls under; null where none is made")
    reason: str
    evidence: dict[str, JsonValue]
    failures_per_day: float | None = Field(
        default=None, description="what the change costs at the present traffic; negative where it saves"
    )
    caveat: str | None = Field(default=None, description="why no promise can be made, in a sentence")
    slices: list[Slice] = Field(default=[], description="where within the scope the change shows, the worst first")
    split: list[SplitPart] = Field(
        default=[],
        exclude_if=lambda parts: not parts,  # so that the others keep their `event_id`
        description="how much of it a changed mix of traffic gives; an explanation, without a promise",
    )
    mixes: list[SplitPart] = Field(
        default=[], exclude_if=lambda parts: not parts, description="by facets of calls, each alone: not to be added"
    )
    other_alarms: list[OtherAlarm] = Field(
        default=[],
        exclude_if=lambda value: not value,  # so that the others keep their `event_id`
        description="what else changed within the scope at that time; absent where nothing did",
    )
    # Absent where there is none, so that the others keep their `event_id`.
    mark: NamedMark | None = Field(
        default=None, exclude_if=lambda one: one is None, description="nearest before `changed_at`, if any"
    )


class DigestEntry(Part):
    """One group that changed within the week."""

    task_type: str
    model: str | None = Field(description="null: all models")
    config: str | None = Field(description="null: all configs")
    direction: Direction
    baseline: Share | None = Field(description="success rate learned before the week; null without trials")
    current: Share | None = Field(description="success rate within the week; null without trials")
    trials: int = Field(ge=0, description="within the week")
    e_value: float = Field(ge=0, description="mean of the detector's statistic at the end of the week")


class Digest(Record):
    """What changed within one ISO week, over all groups; in the snapshot only, as it calls for no immediate action.

    On average, at most the share `false_discovery_rate` of the listed changes are false.
    """

    key_field: ClassVar[str | None] = "week"

    week: str = Field(pattern=r"^[0-9]{4}-W[0-9]{2}$", description="ISO 8601, UTC")
    issued_at: Time = Field(description="the end of the week")
    groups: int = Field(ge=0, description="watched groups")
    false_discovery_rate: Share
    entries: list[DigestEntry] = Field(description="strongest evidence first")


class TopicOrigin(Part):
    """Where a record on Kafka was."""

    topic: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class FileOrigin(Part):
    """Where a record in a file was; lines count from 1."""

    file: str
    line: int = Field(ge=1)


class DeadLetter(Record):
    """A record that was refused, and why; topic `agent.dead-letters`, under the original record's key."""

    reason: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="slug", examples=sorted(DEAD_LETTER_REASONS))
    detail: str = Field(description="one sentence: place, rule, value")
    origin: TopicOrigin | FileOrigin | None = Field(description="where the original lies; null for `refused_output`")
    size: int = Field(ge=0, description="bytes of the original")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the original's bytes")
    payload: str | None = Field(
        max_length=65_536,
        description="the original without input and output; null for an outcome that waited for its call",
    )
    redriven_of: Hash | None = Field(
        default=None,
        exclude_if=lambda value: value is None,  # so that the others keep their `event_id`
        description="the dead letter whose record was sent again; absent where it was not",
    )
