"""Defines what all rules of a contract file have, and the types of their parameters."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from aftercall.contracts.conditions import When
from aftercall.contracts.globs import refuse_bad_glob
from aftercall.durations import parse_duration
from aftercall.times import duration_us, format_time, parse_time, to_us

RuleSeverity = Literal["critical", "major", "minor", "info"]
AlertMode = Literal["each", "rate", "never"]
Dimension = Literal["reliability", "safety", "latency", "cost", "format", "tool_discipline"]
Room = Literal["columns", "record", "text", "session", "code"]
MAX_LIST: Final = 1000
_ID = re.compile(r"[a-z0-9_-]{1,64}")


def _rule_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("must be 1 to 64 characters of a-z, 0-9, _ and -")
    return text


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def moment_text(value: Any) -> Any:
    """A time as RFC 3339 text; TOML and YAML have times of their own."""
    offset = getattr(value, "utcoffset", None)
    if callable(offset) and hasattr(value, "timestamp"):
        if offset() is None:
            raise ValueError("must have an offset or Z")
        return format_time(to_us(value))
    return value


def _time(text: str) -> str:
    """The time as this program writes it: one instant has one spelling, and so one hash."""
    return format_time(parse_time(text))


def _digits(value: Any) -> Any:
    """YAML reads `3` as a number and `1.10` as 1.1: whole numbers serve as text, others must be quoted."""
    return str(value) if type(value) is int else value


Glob = Annotated[str, AfterValidator(refuse_bad_glob)]
GlobList = Annotated[list[Glob], Field(min_length=1, max_length=MAX_LIST)]
"""One glob at least."""
Words = Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(min_length=1, max_length=MAX_LIST)]
Duration = Annotated[str, AfterValidator(_duration)]
"""Text such as `1h`."""
Moment = Annotated[
    str, AfterValidator(_time), BeforeValidator(moment_text), Field(json_schema_extra={"format": "date-time"})
]
VersionText = Annotated[str, BeforeValidator(_digits), Field(min_length=1, max_length=256)]
"""A version or the like: text, or a whole number as its digits."""
Positive = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=0, le=10**12)]
WhenValue = Annotated[str, Field(max_length=256)] | bool | int | float


class RuleParams(BaseModel):
    """What every rule has; a kind adds its own. Unknown keys are refused: a misspelt rule must not pass silently."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: Annotated[str, AfterValidator(_rule_id)]
    type: str
    severity: RuleSeverity = "major"
    when: dict[str, WhenValue | list[WhenValue]] = Field(default_factory=dict)
    alert: AlertMode | None = None
    dimension: Dimension | None = None

    @property
    def room(self) -> Room:
        """Where the rule is judged, which follows from what it reads."""
        return "record"

    @property
    def needs(self) -> frozenset[str]:
        """Fields of the wire without each of which the rule is not applicable."""
        return frozenset()

    @property
    def reads(self) -> frozenset[str]:
        """All fields of the wire that it looks at: those that it needs, and more."""
        return self.needs

    @property
    def of_whole_output(self) -> bool:
        """Whether it is about an output that is whole: that of a call that was cancelled is not."""
        return False

    def refuse(self) -> str | None:
        """Why this combination of parameters is refused; None where it is accepted."""
        return None

    def conditions(self) -> When:
        """The conditions of `when`."""
        return When(self.when)


def span_us(duration: str | None) -> int:
    """Microseconds of a duration that was checked; 0 where it is absent."""
    return duration_us(parse_duration(duration)) if duration else duration_us(timedelta(0))
