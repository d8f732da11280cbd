"""Defines the two events of a producer: the call of an agent, and its outcome.

Rules for both: `null` means absent, and so does empty text in a field that is text or a time; unknown fields are
ignored; of a repeated key the last one counts; types are strict (no text for a number, no bool for a number; a whole
number serves as a float, a float without a fraction as a count, an integer as an id); every number in the record is
finite, those in unknown fields included; texts are at most 256 characters, `reason` and `error` 8,192, and labels in
`attrs` that are longer or nested are left out; times are RFC 3339 with seconds and an offset or `Z`, not before 2000.
`connectors.decode.decoder` reads records faster and by the same rules; where the two differ, this file decides.

Refusals raised here have the slug of the dead letter as pydantic error type: `bad_time`, `before_2000`, `not_finite`,
`empty_retraction`, `reserved_source`, `reserved_name`, `type_mismatch`, `ambiguous_subject`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from aftercall.checks import refuse_not_finite
from aftercall.names import NAMES, label_of, plain_name
from aftercall.times import YEAR_2000_US, parse_time
from aftercall.vocabulary import CONTRACT_PREFIX, MAX_ATTEMPTS, MAX_CHECKS, RESERVED_NAMES, RESERVED_SOURCES
from aftercall.wire_parts import MAX_TEXT, Check, Finite, LongText, Required, Text, WirePart

MAX_RECORD_BYTES: Final = 1024 * 1024
MAX_CALL_ID: Final = 128
MAX_COST_USD: Final = 1e6
MAX_LATENCY_MS: Final = 1e12
MAX_COUNT: Final = 10**12
MAX_DOCUMENTS: Final = 32
"""Of one tool call so many documents are kept."""
_SHOWN: Final = 60
_ARM: Final = ("model", "config")


class CutDocuments(NamedTuple):
    """So many documents of a tool call were left out."""

    count: int  # type: ignore[assignment]  # a number, not the method of tuples


def _time_text(text: str) -> str:
    try:
        us = parse_time(text)
    except ValueError as wrong:
        raise PydanticCustomError("bad_time", "{what}", {"what": str(wrong)}) from None
    if us < YEAR_2000_US:
        raise PydanticCustomError("before_2000", "is before the year 2000; got {text}", {"text": text})
    return text


def _unreserved(source: str) -> str:
    if source in RESERVED_SOURCES:
        raise PydanticCustomError("reserved_source", "is the pipeline's own name; got '{s}'", {"s": source})
    return source


def _unreserved_name(name: str) -> str:
    if name in RESERVED_NAMES:
        raise PydanticCustomError("reserved_name", "has a meaning of its own here; got '{s}'", {"s": name})
    return name


def _unprefixed(outcome_id: str) -> str:
    prefix = next((prefix for prefix in RESERVED_PREFIXES if outcome_id.startswith(prefix)), None)
    if prefix is not None:
        shown = {"p": prefix, "s": outcome_id[:_SHOWN]}
        raise PydanticCustomError("reserved_name", "must not begin with '{p}'; got '{s}'", shown)
    return outcome_id


def _whole(value: Any) -> Any:
    # Data frames write the integers of a column that has gaps as floats. Infinite ones are refused with the record.
    return int(value) if type(value) is float and math.isfinite(value) and value.is_integer() else value


def _digits(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _labels(given: Any, info: ValidationInfo) -> Any:
    """The labels that can be kept; `info.context`, where it is a list, receives the names of the others."""
    if not isinstance(given, Mapping):
        return given
    kept = {name: value for name, value in given.items() if is_label(name, value)}
    if len(kept) < len(given) and isinstance(info.context, list):
        info.context.extend(name for name in given if name not in kept)
    return kept


def _length(value: Any) -> Any:
    return len(value) if isinstance(value, list) else value


def is_label(name: object, value: object) -> bool:
    """Whether a member of `attrs` can be kept: flat, and neither its name nor a text too long."""
    too_long = any(isinstance(text, str) and len(text) > MAX_TEXT for text in (name, value))
    return not too_long and not isinstance(value, Mapping | list)


def agrees(kind: str) -> BeforeValidator:
    """The check of a field `type`: it must name the kind of record that its topic or file has."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and value != kind:
            raise PydanticCustomError("type_mismatch", "must be '{kind}' here", {"kind": kind})
        return value

    return BeforeValidator(check)


Name = Annotated[Required, AfterValidator(_unreserved_name)]
"""A task type, a model or a config."""
_BY_DIGITS = BeforeValidator(_digits)
_OR_INTEGER = {"type": "integer", "description": "as good as the text of its digits"}
CallId = Annotated[
    str,
    Field(min_length=1, max_length=MAX_CALL_ID),
    _BY_DIGITS,
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": MAX_CALL_ID}, _OR_INTEGER]}),
]
RequiredId = Annotated[
    Required,
    _BY_DIGITS,
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": MAX_TEXT}, _OR_INTEGER]}),
]
Id = Annotated[Text, _BY_DIGITS, WithJsonSchema({"anyOf": [{"type": "string", "maxLength": MAX_TEXT}, _OR_INTEGER]})]
"""An integer is as good an id as its digits: systems that count their records write both."""
Time = Annotated[str, AfterValidator(_time_text), Field(json_schema_extra={"format": "date-time"})]
Source = Annotated[str, AfterValidator(_unreserved), Field(max_length=MAX_TEXT)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT), BeforeValidator(_whole)]
"""A whole number, also where it is written as 812.0."""
Items = Annotated[
    Count,
    BeforeValidator(_length),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0, "maximum": MAX_COUNT}, {"type": "array"}]}),
]
"""A number of things, or the things, of which only the number is kept."""
LatencyMs = Annotated[float, Field(ge=0, le=MAX_LATENCY_MS, allow_inf_nan=False)]
CostUsd = Annotated[float, Field(ge=0, le=MAX_COST_USD, allow_inf_nan=False)]
Attr = Text | bool | int | Finite | None
Attrs = Annotated[dict[Text, Attr], BeforeValidator(_labels)]
"""Labels. Nested and over-long ones are left out: a call is worth more than its labels."""
DefaultedName = Annotated[
    Name, WithJsonSchema({"anyOf": [{"type": "string", "maxLength": MAX_TEXT}, {"type": "null"}], "default": "default"})
]
Scope = Literal["last", "all", "root", "descendants"]
"""Which calls of a session an outcome is about: its last call up to then, all of these, its first, or a named one and
those below it."""
SESSION_PREFIX: Final = "session:"
"""How the ids of outcomes of sessions begin in ledgers and tables."""
RESERVED_PREFIXES: Final = (SESSION_PREFIX, CONTRACT_PREFIX)
"""No id of an outcome that a producer sends begins so."""
Action = Annotated[
    Literal["assert", "retract"],
    WithJsonSchema({"enum": ["assert", "retract", None], "default": "assert"}),
]


class Event(WirePart):
    """A record of a producer: every number in it is finite."""

    @model_validator(mode="before")
    @classmethod
    def _finite(cls, given: Any) -> Any:
        refuse_not_finite(given)
        return given


class Document(WirePart):
    """A document that a tool gave back; `data_at`: as of when it is."""

    id: RequiredId
    version: Id | None = None
    data_at: Time | None = None


class ToolCall(WirePart):
    """One tool used within a call; `stale`, `partial`, `empty`: it answered from old data, in part, with nothing.

    `items` is how many things it gave back; of a list only the length is kept. Where it is absent, it is the number of
    documents. Of these the first `MAX_DOCUMENTS` are kept; `info.context`, where it is a list, receives how many more
    there were. `input` and `output` are private, as those of the call.
    """

    name: Text | None = None
    ok: bool | None = None
    attempts: Count | None = None
    latency_ms: LatencyMs | None = None
    error: LongText | None = None
    stale: bool | None = None
    input: str | None = None
    output: str | None = None
    partial: bool | None = None
    empty: bool | None = None
    items: Items | None = None
    data_at: Time | None = None
    documents: Annotated[list[Document], Field(fail_fast=True)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _cut(cls, given: Any, info: ValidationInfo) -> Any:
        documents = given.get("documents") if isinstance(given, Mapping) else None
        if not isinstance(documents, list) or len(documents) <= MAX_DOCUMENTS:
            return given
        if isinstance(info.context, list):
            info.context.append(CutDocuments(len(documents) - MAX_DOCUMENTS))
        counted = len(documents) if given.get("items") is None else given["items"]
        return {**given, "documents": documents[:MAX_DOCUMENTS], "items": counted}


class Attempt(WirePart):
    """One try for a call at a model: with an `error` it failed, and another answered.

    `config` is the call's where it is absent. Both names become plain ones, as those of the call do.
    """

    model: Name
    config: Annotated[Name, WithJsonSchema({"type": "string", "maxLength": MAX_TEXT})] | None = None
    error: LongText | None = None
    latency_ms: LatencyMs | None = None
    cost_usd: CostUsd | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_names(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {**given, **{name: plain_name(given[name]) for name in _ARM if isinstance(given.get(name), str)}}


class Rollout(WirePart):
    """The canary a call belongs to."""

    id: RequiredId
    arm: Literal["baseline", "canary"]
    step: Count | None = None


class AgentCall(Event):
    """A call an agent made. Topic `agent.calls`, record key `call_id`.

    `*` and `__other__` are reserved: no task type, model or config may be called so. These names lose blanks around
    them and invisible characters, and are in Unicode's form NFC.

    >>> AgentCall(call_id="c1", occurred_at="2026-03-01T12:00:00Z", task_type="triage", model="m").config
    'default'
    """

    type: Annotated[Literal["call"], agrees("call")] | None = None
    call_id: CallId
    occurred_at: Time
    task_type: Name
    model: Name
    config: DefaultedName = "default"
    segment: Text | None = None
    session_id: Id | None = None
    parent_call_id: Id | None = None
    latency_ms: LatencyMs | None = None
    cost_usd: CostUsd | None = None
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    tokens: Count | None = None
    error: LongText | None = None
    tool_calls: Count | Annotated[list[ToolCall], Field(fail_fast=True)] | None = None
    policy_version: Text | None = None
    input: str | None = None
    output: str | None = None
    recommendation_id: Id | None = None
    propensity: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    rollout: Rollout | None = None
    attrs: Attrs | None = None
    attempts: Annotated[list[Attempt], Field(max_length=MAX_ATTEMPTS, fail_fast=True)] | None = None
    checks: Annotated[list[Check], Field(max_length=MAX_CHECKS, fail_fast=True)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_names(cls, given: Any) -> Any:
        """Free the names of what cannot be seen; `attrs` has those that were changed as they were sent."""
        if not isinstance(given, Mapping):
            return given
        sent = {name: given[name] for name in NAMES if isinstance(given.get(name), str)}
        plain = {name: plain_name(text) for name, text in sent.items()}
        if plain == sent:
            return given
        attrs = given.get("attrs")
        if attrs is None or isinstance(attrs, Mapping):
            labels = {label_of(name): sent[name][:MAX_TEXT] for name in sent if sent[name] != plain[name]}
            # A label of this name that was sent stays, in its place.
            attrs = {**(attrs or {}), **{name: text for name, text in labels.items() if name not in (attrs or {})}}
        return {**given, **plain, "attrs": attrs}


class Outcome(Event):
    """A statement on how a call turned out, or the withdrawal of one. Topic `agent.outcomes`, record key `call_id`.

    In place of a `call_id` it may name a `session_id`, which is its record key then: it is about the calls of that
    session that `scope` says, `last` where it is absent. With `scope = "descendants"` it names both.

    An assertion needs `source` and one of `success`, `score`. With neither of these it clears an earlier outcome of the
    same `outcome_id`, where the settings of its source let an id be revised; else the pipeline refuses it as
    `no_verdict`. A retraction (`action = "retract"`) needs `retracts` (one statement, of any source; `source` may then
    be absent) or `source` (all that its `author` said before); with neither it is refused. The sources `call`,
    `silence` and `__other__` are reserved.

    >>> Outcome(outcome_id="o1", call_id="c1", occurred_at="2026-03-01T12:00:00Z", source="judge", score=0.4).action
    'assert'
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["call_id"]}, {"required": ["session_id"]}]})

    type: Annotated[Literal["outcome"], agrees("outcome")] | None = None
    outcome_id: Annotated[RequiredId, AfterValidator(_unprefixed)]
    call_id: CallId | None = None
    session_id: Id | None = None
    scope: Scope | None = None
    occurred_at: Time
    call_occurred_at: Time | None = None
    source: Source | None = None
    author: Id | None = None
    """Who says so, where several people or judges share a source: without it they are one."""
    success: bool | None = None
    score: Finite | None = None
    action: Action = "assert"
    retracts: Id | None = None
    reason: LongText | None = None
    scorer: Text | None = None
    error: LongText | None = None
    attrs: Attrs | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.action == "retract":
            if self.retracts is None and self.source is None:
                raise PydanticCustomError(
                    "empty_retraction", "a retraction needs 'retracts' or 'source', to name what it withdraws"
                )
        elif self.source is None:
            raise PydanticCustomError(
                "missing_field", "field 'source' is required unless it is a retraction with 'retracts'"
            )
        self._has_one_subject()
        return self

    def _has_one_subject(self) -> None:
        """Exactly one of `call_id` and `session_id`, both with `descendants`; `scope` is about a session."""
        of_both = self.scope == "descendants"
        if self.session_id is None and self.scope is not None:
            raise PydanticCustomError("missing_field", "field 'session_id' is required with 'scope'")
        if self.call_id is None and (of_both or self.session_id is None):
            rule = "with scope 'descendants'" if of_both else "unless 'session_id' is given"
            raise PydanticCustomError("missing_field", "field 'call_id' is required {rule}", {"rule": rule})
        if self.call_id is not None and self.session_id is not None and not of_both:
            raise PydanticCustomError(
                "ambiguous_subject", "names both 'call_id' and 'session_id', which only scope 'descendants' may"
            )
