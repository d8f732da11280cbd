"""The settings of sources as columns, by version of the rules and by the shard's code of the source."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from models.arrays import F64, I8, I32, U8, Bools
from models.join.ledger import VerdictRules


class SourceTables(NamedTuple):
    """What statements of sources say, columns of shape (versions, sources).

    Attributes:
        pass_at: the least score that is a success.
        fail_at: the least that is a failure, where high is bad; else nan.
        low: the least of the scale, 0 without one.
        high: the greatest of the scale, nan without one.
        rank: place in the precedence, 0 the strongest; sources that are not listed share the last.
        plain: whether its opinion is always that of its newest statement, and each id has one record.
    """

    pass_at: F64
    fail_at: F64
    low: F64
    high: F64
    rank: I32
    plain: Bools

    def success(self, version: U8, source: I32, given: I8, score: F64) -> I8:
        """What assertions say, 0 or 1, by code of the source: as `given`, or by the score where that is absent."""
        fail_at = self.fail_at[version, source]
        passes: Bools = np.where(np.isnan(fail_at), score >= self.pass_at[version, source], score < fail_at)
        return np.where(given >= 0, given, passes).astype(np.int8)

    def scaled(self, version: U8, source: I32, score: F64) -> F64:
        """Scores of sources with a scale as those of 0 to 1; nan where there is none."""
        high = self.high[version, source]
        (has_scale,) = (~np.isnan(high)).nonzero()
        if not len(has_scale):
            return score
        low, scaled = self.low[version, source][has_scale], score.copy()
        scaled[has_scale] = np.clip((score[has_scale] - low) / (high[has_scale] - low), 0.0, 1.0)
        return scaled

    def more(self, versions: list[VerdictRules], sources: list[str]) -> SourceTables:
        """These tables, and those of `sources` that come next."""
        parts: Any = zip(self, _tables(versions, sources), strict=True)
        return SourceTables(*(np.concatenate(part, axis=1) for part in parts))


def no_sources(versions: int) -> SourceTables:
    """The tables of no source."""
    numbers = np.zeros((versions, 0))
    ranks, plain = np.zeros((versions, 0), np.int32), np.zeros((versions, 0), np.bool_)
    return SourceTables(numbers, numbers, numbers, numbers, ranks, plain)


def _tables(versions: list[VerdictRules], sources: list[str]) -> SourceTables:
    rules = [[verdict.rule(source) for source in sources] for verdict in versions]
    shape = (len(versions), len(sources))
    pass_at = np.array([[one.pass_at for one in row] for row in rules]).reshape(shape)
    fail_at = np.array([[np.nan if one.fail_at is None else one.fail_at for one in row] for row in rules])
    scales = [[one.scale or (0.0, np.nan) for one in row] for row in rules]
    low, high = np.moveaxis(np.array(scales, np.float64).reshape((*shape, 2)), 2, 0)
    ranks = np.array([[verdict.rank(source) for source in sources] for verdict in versions], np.int32)
    mixed = [verdict.special | verdict.revising for verdict in versions]
    plain = np.array([[source not in some for source in sources] for some in mixed], np.bool_)
    return SourceTables(pass_at, fail_at.reshape(shape), low, high, ranks.reshape(shape), plain.reshape(shape))
