"""Defines the sections on verdicts: which source decides and which must agree, and what the records of each say."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from aftercall.vocabulary import DEFAULT_PASS_AT
from flows.settings.sections import Section, Source, Sources

Bounds = tuple[float, float]


def _from_json(value: object) -> object:
    # An environment variable holds text.
    if isinstance(value, str):
        with suppress(ValueError):
            return json.loads(value)
    return value


def _range(value: object) -> object:
    value = _from_json(value)
    both = [value, value] if type(value) in {int, float} else value
    if isinstance(both, list | tuple) and len(both) == 2 and all(type(score) in {int, float} for score in both):
        return list(both)
    raise ValueError("must be a score, or the least and the greatest score of a range, such as [0.4, 0.6]")


def _in_order(scores: Bounds) -> Bounds:
    if scores[0] > scores[1]:
        raise ValueError("must have the least score first")
    return scores


def _shown(scores: Bounds) -> str:
    low, high = scores
    return f"{low:g}" if low == high else f"[{low:g}, {high:g}]"


class SourceScore(Section):
    """The score from which on a statement of a source is a success (or, if high is bad, a failure), and its votes."""

    pass_at: float | None = None
    fail_at: float | None = None
    scale: Annotated[Bounds, BeforeValidator(_from_json)] | None = None
    """The least and the greatest score; absent: 0 and 1. All bounds are on this scale."""
    same_id: Literal["conflict", "revises"] = "conflict"
    """What another record of an outcome id is: refused, or a later word that counts in place of the first."""
    abstain: Annotated[Bounds, AfterValidator(_in_order), BeforeValidator(_range)] | None = None
    """Scores from the first to the second, both included, decide nothing."""
    combine: Literal["newest", "majority", "mean", "all", "any"] = "newest"
    """How the votes of several authors make one opinion of the source."""

    @model_validator(mode="before")
    @classmethod
    def _default(cls, given: Any) -> Any:
        return {"pass_at": DEFAULT_PASS_AT} if given == {} else given

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.pass_at is not None and self.fail_at is not None:
            raise ValueError("must have pass_at or, where a high score is bad, fail_at; both are set")
        return self

    @model_validator(mode="after")
    def _within_the_scale(self) -> Self:
        if self.scale is None:
            return self
        low, high = self.scale
        if not low < high:
            raise ValueError(f"must have a scale of the least and the greatest score; got [{low:g}, {high:g}]")
        name, bound = ("pass_at", self.pass_at) if self.fail_at is None else ("fail_at", self.fail_at)
        if bound is not None and not low < bound <= high:
            raise ValueError(f"must have {name} on its scale, above {low:g} and at most {high:g}; got {bound:g}")
        if self.abstain is not None and not low <= self.abstain[0] <= self.abstain[1] <= high:
            raise ValueError(f"must have abstain on its scale, from {low:g} to {high:g}; got {_shown(self.abstain)}")
        return self

    @model_validator(mode="after")
    def _abstains_on_one_side(self) -> Self:
        if self.abstain is None:
            return self
        name, bound = ("fail_at", self.fail_at) if self.fail_at is not None else ("pass_at", self.least_success)
        if self.abstain[0] <= bound <= self.abstain[1]:
            raise ValueError(f"must have abstain beside {name}, which is {bound:g}; got {_shown(self.abstain)}")
        return self

    @property
    def least_success(self) -> float:
        """`pass_at`; without it, 0.7 of the way from the least score to the greatest."""
        low, high = self.scale or (0.0, 1.0)
        return low + DEFAULT_PASS_AT * (high - low) if self.pass_at is None else self.pass_at

    @property
    def says_of_scores(self) -> bool:
        """Whether it says from which score on a statement is a success: then scores of any scale may be meant."""
        return any(bound is not None for bound in (self.pass_at, self.fail_at, self.scale))

    def deciding(self) -> dict[str, Any]:
        """What decides verdicts, as plain JSON values; nothing where it only repeats the defaults.

        What versions before did not have is there only where it is set, so that their runs go on.
        """
        plain = self.model_dump(mode="json", exclude_defaults=True)
        bounds = {"pass_at": self.pass_at if self.says_of_scores else DEFAULT_PASS_AT, "fail_at": self.fail_at}
        deciding = bounds | {key: value for key, value in plain.items() if key not in bounds}
        return {} if deciding == {"pass_at": DEFAULT_PASS_AT, "fail_at": None} else deciding


class Verdict(Section):
    """Which source decides, which must agree, and how each is read."""

    precedence: Sources = Field(
        default=["human_review", "ticket_reopened", "downstream", "user_feedback", "contract", "judge"]
    )
    require: Sources = Field(default=[])
    """Sources that must all say success; a task type's own list replaces this one."""
    source: dict[Source, SourceScore] = Field(default={})
