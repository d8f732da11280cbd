"""Defines the section `[task.NAME]`: what is particular to a task type."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from aftercall.events import MAX_COST_USD, MAX_LATENCY_MS
from aftercall.names import plain_name
from aftercall.vocabulary import OTHER
from connectors.decode.aliases import Pattern
from flows.settings.sections import Names, Section, Sources, Span
from flows.settings.zone_names import ZoneName

MOST_SEGMENTS: Final = 64
"""Of a task type: each multiplies its counts."""


def _segments(names: list[str]) -> list[str]:
    if len(names) > MOST_SEGMENTS:
        raise ValueError(f"must name at most {MOST_SEGMENTS}; it names {len(names)}")
    if OTHER in names:
        raise ValueError(f"must not name {OTHER!r}: so those are called that it does not name")
    return names


def _arm(text: str) -> str:
    model, _, config = text.rpartition("/")
    if not model or not config:
        raise ValueError("must be 'model/config' (the part after the last slash is the config)")
    return text


def _arms(texts: list[str]) -> list[str]:
    for text in texts:
        if "/" not in text and not Pattern(text).is_glob:
            raise ValueError(f"must hold 'model/config', in which * is any text and ? any character; {text!r} is not")
    return texts


def _some(texts: list[str]) -> list[str]:
    if not texts:
        raise ValueError("must name at least one arm (leave it out to allow all)")
    return texts


SegmentNames = Annotated[Names, AfterValidator(_segments)]
ArmTexts = Annotated[Names, AfterValidator(_arms)]


class Task(Section):
    """Settings of one task type."""

    horizon: Span | None = None
    silence: Literal["success", "failure"] | None = None
    require: Sources | None = None
    """In place of `verdict.require`; absent: that one."""
    value: float | None = Field(default=None, ge=0)
    latency_weight: float = Field(default=0.0, ge=0, le=MAX_COST_USD)
    """What a second of mean latency costs, USD."""
    max_cost_usd: float | None = Field(default=None, ge=0, le=MAX_COST_USD)
    max_latency_ms: float | None = Field(default=None, ge=0, le=MAX_LATENCY_MS)
    max_latency_p95_ms: float | None = Field(default=None, ge=0, le=MAX_LATENCY_MS)
    min_success_rate: float | None = Field(default=None, ge=0, le=1)
    allow: Annotated[ArmTexts, AfterValidator(_some)] | None = None
    """ArmTexts that alone may be recommended: "model/config", or globs; absent: all."""
    deny: ArmTexts = Field(default=[])
    """ArmTexts that may not be recommended, allowed or not."""
    pinned: Annotated[str, AfterValidator(_arm)] | None = None
    segments: SegmentNames = Field(default=[])
    """Those whose rates are kept, by whose mix a change is explained, and that have recommendations of their own; all
    others count as one."""
    timezone: ZoneName = "UTC"
    """Of the IANA database; by its clocks the hours of the week and the days of the task type are compared."""

    @model_validator(mode="after")
    def _silence_has_a_horizon(self) -> Self:
        if self.silence is not None and self.horizon is None:
            raise ValueError("sets silence without horizon: set the horizon after which silence counts")
        return self

    @model_validator(mode="after")
    def _latency_is_weighed_against_a_value(self) -> Self:
        if self.latency_weight and not self.value:
            raise ValueError(
                "sets latency_weight without value: set what a success is worth, to weigh a second against"
            )
        return self

    @model_validator(mode="after")
    def _lists_leave_something(self) -> Self:
        for allowed in self.allow or []:
            denying = next((denied for denied in self.deny if _covers(denied, allowed)), None)
            if denying is not None:
                raise ValueError(f"allows {allowed!r} and denies it by {denying!r}: take it out of one of the lists")
        if self.allow is None and "*" in self.deny:
            raise ValueError("denies every arm by '*': take it out, or set allow")
        return self

    @model_validator(mode="after")
    def _pinned_may_be_served(self) -> Self:
        if self.pinned is None:
            return self
        denying = next((denied for denied in self.deny if _pattern(denied).matches(self.pinned)), None)
        if denying is not None:
            raise ValueError(f"pins {self.pinned!r}, which {denying!r} denies: take it out of one of the two")
        if self.allow is not None and not any(_pattern(allowed).matches(self.pinned) for allowed in self.allow):
            raise ValueError(f"pins {self.pinned!r}, which is not allowed: add it to allow, or pin another")
        return self

    def deciding(self) -> dict[str, Any]:
        """What decides verdicts, as plain JSON values; nothing where it only repeats the defaults."""
        plain = self.model_dump(mode="json", include={"horizon", "silence", "require"})
        if plain["require"] is None:  # Runs that an earlier version began have none.
            del plain["require"]
        if plain["horizon"] is None:
            del plain["horizon"], plain["silence"]
        return plain

    @property
    def pinned_arm(self) -> tuple[str, str] | None:
        """The pinned (model, config)."""
        if self.pinned is None:
            return None
        model, _, config = self.pinned.rpartition("/")
        return model, config

    @property
    def allowed_patterns(self) -> tuple[Pattern, ...] | None:
        """What `allow` matches; None: all arms."""
        return None if self.allow is None else tuple(map(_pattern, self.allow))

    @property
    def denied_patterns(self) -> tuple[Pattern, ...]:
        """What `deny` matches."""
        return tuple(map(_pattern, self.deny))

    def named_arms(self) -> list[str]:
        """The arms that may be recommended and are known before any call: the pinned one, else those of `allow`."""
        if self.pinned is not None:
            return [self.pinned]
        return [text for text in self.allow or [] if not Pattern(text).is_glob]


def _pattern(text: str) -> Pattern:
    return Pattern(plain_name(text))


def _covers(denied: str, allowed: str) -> bool:
    """Whether one matches all that the other does; not found where a `?` of the first stands for a `*` of the other."""
    return _pattern(denied).matches(plain_name(allowed)) and not ("?" in denied and "*" in allowed)
