"""Defines the section `[texts]`: which inputs, outputs and tool results are kept, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from aftercall.events import MAX_RECORD_BYTES
from flows.settings.sections import Section, Size, Span


class Texts(Section):
    """Which texts of calls are kept as Parquet files beside the snapshot. It decides nothing else."""

    keep: Literal["none", "failed", "sampled", "all"] = "none"
    sample: float = Field(default=0.01, gt=0, le=1)
    """Share of the calls, by a hash of `call_id`, whose texts are kept with `sampled`."""
    max_bytes: int = Field(default=32_768, ge=64, le=MAX_RECORD_BYTES)
    """Of one text; a longer one is cut."""
    retention: Span = timedelta(days=30)
    """Age of a call at which the file of its day is removed, from the watermark."""
    buffer: Span = timedelta(hours=48)
    """How long, of event time, a text waits for its call to fail, with `failed`."""
    buffer_bytes: Size = 2 * 1024**3
    """How many bytes wait at most; the oldest go first."""
    key_file: str | None = Field(default=None, min_length=1)
    """A file of 16, 24 or 32 random bytes, with which the Parquet files are encrypted."""
