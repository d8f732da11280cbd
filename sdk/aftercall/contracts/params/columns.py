"""Defines what the rules on numbers of a call take: `latency`, `cost`, `output_length`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from aftercall.contracts.params.base import Positive, Room, RuleParams

_ONE_MAXIMUM: JsonDict = {"anyOf": [{"required": ["max"]}, {"required": ["threshold"]}]}


class _Bounded(RuleParams):
    max: Positive | None = None
    threshold: Annotated[Positive | None, Field(description="read as `max`")] = None

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, given: Any) -> Any:
        """Read `threshold` as `max`, so that both spellings are one rule with one hash."""
        if isinstance(given, dict) and given.get("threshold") is not None and given.get("max") is None:
            rest = {key: value for key, value in given.items() if key not in {"threshold", "max"}}
            return {**rest, "max": given["threshold"]}
        return given

    def refuse(self) -> str | None:
        """Both names of one bound."""
        return "max: must not stand beside threshold, which means the same (keep one)" if self.threshold else None


class LatencyLimit(_Bounded):
    """`max` in milliseconds."""

    model_config = ConfigDict(json_schema_extra=_ONE_MAXIMUM)
    type: Literal["latency"]

    @property
    def room(self) -> Room:
        """Columns of the batch suffice."""
        return "columns"

    @property
    def needs(self) -> frozenset[str]:
        """The call's own time."""
        return frozenset({"latency_ms"})

    def refuse(self) -> str | None:
        """No bound, or both names of it."""
        return super().refuse() or ("max: is required (set it, in milliseconds)" if self.max is None else None)


class CostLimit(_Bounded):
    """`max` in USD."""

    model_config = ConfigDict(json_schema_extra=_ONE_MAXIMUM)
    type: Literal["cost"]

    @property
    def room(self) -> Room:
        """Columns of the batch suffice."""
        return "columns"

    @property
    def needs(self) -> frozenset[str]:
        """The call's own cost."""
        return frozenset({"cost_usd"})

    def refuse(self) -> str | None:
        """No bound, or both names of it."""
        return super().refuse() or ("max: is required (set it, in USD)" if self.max is None else None)


class OutputLength(_Bounded):
    """`min` and `max` in tokens as the provider counted them, or in characters or words of the text."""

    type: Literal["output_length"]
    min: Positive | None = None
    unit: Literal["tokens", "characters", "words"] = "tokens"

    @property
    def room(self) -> Room:
        """Columns for tokens; the text for the others."""
        return "columns" if self.unit == "tokens" else "text"

    @property
    def needs(self) -> frozenset[str]:
        """A count of the provider, or the text."""
        return frozenset({"tokens_out" if self.unit == "tokens" else "output"})

    @property
    def of_whole_output(self) -> bool:
        """A part is shorter; tokens are those that the provider counted, of whatever it has written."""
        return self.unit != "tokens"

    def refuse(self) -> str | None:
        """An empty range; a missing one is an error of each judgement, see `nothing_to_compare`."""
        if self.min is not None and self.max is not None and self.min > self.max:
            return f"min: must be at most max, {self.max:g}; got {self.min:g} (no length is between)"
        return super().refuse()
