"""Counts what rules of contracts found, per (group, contract, version, rule, hour of the call).

Sums of integers only, so the state depends neither on the order of the differences nor on how they were cut into
batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from aftercall.times import HOUR_US, HOURS_PER_DAY
from models.columns.keyed_sums import KeyedSums, Sums, pack_key, unpack_key
from models.messages import Group
from models.side_messages import CheckDeltas, CheckedRule
from models.state import check_version
from models.stats.intervals import wilson

if TYPE_CHECKING:
    from models.arrays import I64, Objects

_STATE_VERSION: Final = 1
_DTYPES: Final = (np.int64,) * 4
"""Passed, failed, not applicable, errors."""
NOW_HOURS: Final = 24
"""The grain `now` has the hour that is not over, and so many before it."""
RuleOfGroup = tuple[str, str, str, str, str, str]
"""Task type, model, config; contract, version, rule."""
CheckRates = dict[str, Any]
"""Columns of the table `check_rates`; `window_start` in us, nan is NULL."""


class CheckCells:
    """The counts. Memory: about 60 bytes per (group, rule, hour)."""

    def __init__(self) -> None:
        self._code: dict[RuleOfGroup, int] = {}
        self._sums = KeyedSums(_DTYPES)

    def apply(self, names: Sequence[Group], rules: Sequence[CheckedRule], checks: CheckDeltas) -> None:
        """Add differences; their codes index `names`, their rules `rules`."""
        pairs = np.stack((checks.code, checks.rule))
        distinct, place = np.unique(pairs, axis=1, return_inverse=True)
        codes = [self._coded(names[code], rules[rule]) for code, rule in distinct.T.tolist()]
        keys = pack_key(np.array(codes, np.int64)[place.ravel()], checks.hour.astype(np.int64))
        self._sums.add(keys, *(column.astype(np.int64) for column in checks[4:]))

    def forget_hours(self, before_us: int) -> None:
        """Drop the hours of the full days (UTC) before a time, as the hourly rates do."""
        floor = before_us // (HOUR_US * HOURS_PER_DAY) * HOURS_PER_DAY
        code, hour, _ = unpack_key(self._sums.sums(copy=False).keys)
        old = hour < floor
        if old.any():
            self._sums.pop(old)
            self._drop_unused(code[~old])

    def frozen(self) -> FrozenChecks:
        """A consistent copy for another thread."""
        return FrozenChecks(list(self._code), self._sums.sums())

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays; not a copy."""
        sums = self._sums.sums(copy=False)
        return {"version": _STATE_VERSION, "names": list(self._code), "sums": sums.stored()}

    @classmethod
    def from_state(cls, stored: dict[str, Any]) -> CheckCells:
        """The cells that `stored`, a `state()`, was made from.

        Raises:
            StateError: The state has another version.
        """
        check_version(stored, "check rates", _STATE_VERSION)
        cells = cls()
        cells._code = {tuple(names): code for code, names in enumerate(stored["names"])}
        cells._sums = KeyedSums.from_stored(_DTYPES, stored["sums"])
        return cells

    def _coded(self, group: Group, rule: CheckedRule) -> int:
        return self._code.setdefault((*group, rule.contract, rule.version, rule.rule), len(self._code))

    def _drop_unused(self, used: I64) -> None:
        """Number the rules of groups again, those that some cell counts."""
        kept, code = np.unique(used, return_inverse=True)
        names = list(self._code)
        self._code = {names[one]: place for place, one in enumerate(kept.tolist())}
        keys, columns = self._sums.sums()
        self._sums = KeyedSums(_DTYPES, Sums(pack_key(code, unpack_key(keys)[1]), columns))


class FrozenChecks(NamedTuple):
    """The counts at one instant; keys as `CheckCells` packs them, codes index `names`."""

    names: list[RuleOfGroup]
    sums: Sums

    def table(self, as_of_us: int) -> CheckRates:
        """The columns of `check_rates`, sorted by group, contract, version, rule, grain and window.

        Args:
            as_of_us: where the grain `now` ends; it begins with the hour `NOW_HOURS` before that of this time.
        """
        code, hour, _ = unpack_key(self.sums.keys)
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        rank = np.zeros(len(order), np.int64)
        rank[order] = np.arange(len(order))
        place = rank[code]
        now = as_of_us // HOUR_US - NOW_HOURS
        (recent,) = (hour >= now).nonzero()
        counts = np.array(self.sums.columns, np.int64).reshape(len(_DTYPES), -1)
        parts = [
            _summed(place, hour * HOUR_US, counts),
            _summed(place, hour // HOURS_PER_DAY * (HOURS_PER_DAY * HOUR_US), counts),
            _summed(place[recent], np.full(len(recent), now * HOUR_US), counts[:, recent]),
        ]
        grain = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
        rows, starts = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        sums = np.concatenate([part[2] for part in parts], axis=1)
        ordered = np.lexsort((starts, grain, rows))
        return _columns(
            [self.names[i] for i in order], rows[ordered], grain[ordered], starts[ordered], sums[:, ordered]
        )


_GRAINS: Final = ("1h", "1d", "now")
_NAMES: Final = ("task_type", "model", "config", "contract", "contract_version", "rule")


def _summed(place: I64, start: I64, counts: I64) -> tuple[I64, I64, I64]:
    """Rows of one grain: place, start and sums, each pair once; without those in which nothing was found."""
    keys, row = np.unique(np.stack((place, start)), axis=1, return_inverse=True)
    sums = np.zeros((len(counts), keys.shape[1]), np.int64)
    for total, column in zip(sums, counts, strict=True):
        np.add.at(total, row.ravel(), column)
    kept = sums.any(axis=0)
    return keys[0, kept], keys[1, kept], sums[:, kept]


def _columns(names: list[RuleOfGroup], place: I64, grain: I64, start: I64, sums: I64) -> CheckRates:
    passed, failed, not_applicable, errors = sums
    checked = passed + failed
    low, high = wilson(passed.astype(np.float64), checked.astype(np.float64))
    return {
        **{name: _texts([names[i][at] for i in place.tolist()]) for at, name in enumerate(_NAMES)},
        "grain": _texts([_GRAINS[i] for i in grain.tolist()]),
        "window_start": start,
        "checked": checked,
        "passed": passed,
        "failed": failed,
        "not_applicable": not_applicable,
        "errors": errors,
        "rate": np.where(checked > 0, passed / np.maximum(checked, 1), np.nan),
        "rate_low": np.where(checked > 0, low, np.nan),
        "rate_high": np.where(checked > 0, high, np.nan),
    }


def _texts(values: Sequence[str]) -> Objects:
    column = np.empty(len(values), np.object_)
    column[:] = values
    return column
