"""The settings of sources as columns, by version of the rules and by the shard's code of the source."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from models.arrays import F64, I8, I32, U8, Bools
from models.join.opinions_in_columns import HOW, NEWEST
from models.join.rules import JoinRules


class SourceTables(NamedTuple):
    """What statements of sources say, columns of shape (versions, sources).

    Attributes:
        pass_at: the least score that is a success.
        fail_at: the least that is a failure, where high is bad; else nan.
        low: the least of the scale, 0 without one.
        high: the greatest of the scale, nan without one.
        rank: place in the precedence, 0 the strongest; sources that are not listed share the last.
        combine: how its voices are combined, by place in `opinions_in_columns.HOW`.
        least: the least score that says nothing, nan where all say something.
        most: the greatest that says nothing.
        plain: whether its opinion is always that of its newest statement, and each id has one record.
        mixed: whether it is read record by record; see `opinions_in_columns`.
        alone: whether it is where it has several voices.
    """

    pass_at: F64
    fail_at: F64
    low: F64
    high: F64
    rank: I32
    combine: I8
    least: F64
    most: F64
    plain: Bools
    mixed: Bools
    alone: Bools

    def success(self, version: U8, source: I32, given: I8, score: F64) -> I8:
        """What assertions say: as `given`, or by the score where that is absent, -1 where the source abstains."""
        passes: Bools = score >= self.pass_at[version, source]
        if not np.isnan(self.fail_at).all():
            fail_at = self.fail_at[version, source]
            passes = np.where(np.isnan(fail_at), passes, score < fail_at)
        said = np.where(given >= 0, given, passes).astype(np.int8)
        if not np.isnan(self.least).all():
            least, most = self.least[version, source], self.most[version, source]
            said[(given < 0) & (least <= score) & (score <= most)] = -1
        return said

    def scaled(self, version: U8, source: I32, score: F64) -> F64:
        """Scores of sources with a scale as those of 0 to 1; nan where there is none."""
        if np.isnan(self.high).all():
            return score
        high = self.high[version, source]
        (has_scale,) = (~np.isnan(high)).nonzero()
        if not len(has_scale):
            return score
        low, scaled = self.low[version, source][has_scale], score.copy()
        scaled[has_scale] = np.clip((score[has_scale] - low) / (high[has_scale] - low), 0.0, 1.0)
        return scaled

    def more(self, versions: list[JoinRules], sources: list[str]) -> SourceTables:
        """These tables, and those of `sources` that come next."""
        parts: Any = zip(self, _tables(versions, sources), strict=True)
        return SourceTables(*(np.concatenate(part, axis=1) for part in parts))


_KINDS: Final[tuple[Any, ...]] = (*("f8",) * 4, "i4", "i1", *("f8",) * 2, *("?",) * 3)
"""Types of the columns."""


def no_sources(versions: list[JoinRules]) -> SourceTables:
    """The tables of no source."""
    return _tables(versions, [])


def _tables(versions: list[JoinRules], sources: list[str]) -> SourceTables:
    rows = [[_row(rules, source) for source in sources] for rules in versions]
    columns = ([[row[at] for row in some] for some in rows] for at in range(len(_KINDS)))
    shape: Any = len(versions), len(sources)
    return SourceTables(*(np.array(column, kind).reshape(shape) for column, kind in zip(columns, _KINDS, strict=True)))


def _row(rules: JoinRules, source: str) -> tuple[Any, ...]:
    verdict, rule = rules.verdict, rules.verdict.rule(source)
    rank, is_listed = verdict.rank(source), source in verdict.precedence
    is_special, is_combined = source in verdict.special, rule.combine != HOW[NEWEST]
    mixed = rule.combine not in HOW or (is_special and not is_listed) or (is_combined and _is_required(rules, source))
    return (
        rule.pass_at,
        np.nan if rule.fail_at is None else rule.fail_at,
        *(rule.scale or (0.0, np.nan)),
        rank,
        NEWEST if mixed else HOW.index(rule.combine),
        *(rule.abstain or (np.nan, np.nan)),
        not is_special and not rule.revises,
        mixed,
        rule.abstain is not None and not is_combined,
    )


def _is_required(rules: JoinRules, source: str) -> bool:
    """Whether any task type requires it."""
    return source in rules.verdict.require or any(source in (task.require or ()) for task in rules.tasks.values())
