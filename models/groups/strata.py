"""Keeps the trials of calls with a segment, of minutes that are still open."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.arrays import I32
from models.columns.group_sums import total
from models.messages import NO_SEGMENTS, SegmentTrials, TrialDeltas


class Strata:
    """Trials per group, open minute and segment; groups are codes of the group step. Without segments it is empty."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from a `state()`; one of before there were segments has none."""
        kept = state or {}
        self._names: dict[str, int] = {name: code for code, name in enumerate(kept.get("segments", ()))}
        """Declared segments, and one for all others: they are bounded by the settings."""
        self._parts = [SegmentTrials(*part) for part in kept.get("stratified", ())]

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        self._parts = [] if not self._parts else [self._joined()]
        return {"segments": list(self._names), "stratified": self._parts}

    def add(self, trials: TrialDeltas, code: I32, segments: list[str], places: I32) -> None:
        """Take in trials of groups `code`, of which those at a place with a segment have that one."""
        own = np.array([self._names.setdefault(name, len(self._names)) if name else -1 for name in segments], np.int32)
        segment = own[places]
        (rows,) = ((segment >= 0) & ((trials.trial_successes != 0) | (trials.trial_failures != 0))).nonzero()
        if len(rows):
            counts = trials.trial_successes[rows], trials.trial_failures[rows]
            self._parts.append(SegmentTrials(code[rows], trials.minute[rows], segment[rows], *counts))

    def pop(self, through: int) -> SegmentTrials:
        """The rows of minutes before `through`, which are forgotten."""
        if not self._parts:
            return NO_SEGMENTS
        whole = self._joined()
        closed = whole.minute < through
        kept = SegmentTrials(*(column[~closed] for column in whole))
        self._parts = [kept] if len(kept.code) else []
        return SegmentTrials(*(column[closed] for column in whole))

    def closed(self, rows: SegmentTrials, code: I32) -> tuple[tuple[str, ...], SegmentTrials]:
        """The segments of `rows`, ascending, and one row per (minute, group, segment); `code`: by code its new one."""
        if not len(rows.code):
            return (), NO_SEGMENTS
        names = list(self._names)
        used = sorted(np.unique(rows.segment).tolist(), key=names.__getitem__)
        rank = np.zeros(len(names), np.int32)
        rank[used] = np.arange(len(used), dtype=np.int32)
        group, segment = code[rows.code], rank[rows.segment]
        first, sums = total((rows.minute, group, segment), (rows.trial_successes, rows.trial_failures))
        found = SegmentTrials(group[first], rows.minute[first], segment[first], *sums)
        return tuple(names[at] for at in used), found

    def _joined(self) -> SegmentTrials:
        columns: tuple[I32, ...] = tuple(map(np.concatenate, zip(*self._parts, strict=True)))
        return SegmentTrials(*columns)
