"""Defines the sections `[golden.NAME]` of the settings: sets that are run every night."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flows.settings.sections import Section, Span
from flows.settings.zone_names import ZoneName


def _clock(text: str) -> str:
    try:
        found = time.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or len(text) != len("02:00"):
        raise ValueError("must be a time of day, such as '02:00'")
    return text


class Golden(Section):
    """One golden set; what `aftercall eval run` takes as options, with its names."""

    dataset: str = Field(min_length=1)
    agent: str = Field(min_length=1)
    at: Annotated[str, AfterValidator(_clock)] = "02:00"
    """When its night begins, on the clocks of `timezone`."""
    timezone: ZoneName = "UTC"
    repeat: int = Field(default=1, ge=1, le=1000)
    rule: Literal["rows", "mean"] = "rows"
    max_regressed: int = Field(default=2, ge=0)
    contract: list[str] = Field(default=[])
    score: str = ""
    runs: str = ".aftercall/runs.sqlite"
    timeout: Span = timedelta(seconds=60)
    concurrency: int = Field(default=4, ge=1, le=256)

    @property
    def begins_at(self) -> time:
        """`at` as a time of day."""
        return time.fromisoformat(self.at)
