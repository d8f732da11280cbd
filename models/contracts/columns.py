"""Judges numbers of calls as columns: `latency`, `cost`, and `output_length` in tokens.

The comparisons are those of `aftercall.contracts.records.columns`, which judges one call; a test holds the two against
each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aftercall.contracts.contract import Rule
from aftercall.vocabulary import FILLED_ONCE
from models.arrays import F64, I8, I64
from models.contracts.result_codes import ERROR, FAIL, NOT_APPLICABLE, PASS
from models.side_messages import CallsToJudge

_ATTRS_BIT: Final = np.uint32(1 << FILLED_ONCE.index("attrs"))
_NANO: Final = 1e9
_ROUNDED: Final = 2.0
"""Nano-dollars: further off the rounding decides nothing, up to a million dollars."""
_cost = attrgetter("cost_usd")


class ColumnBound(NamedTuple):
    """What a rule asks of a column, as far as the extremes show that all calls pass.

    Attributes:
        column: of `CallsToJudge`; no absent value lies within the bounds.
        least: None for no such bound.
        most: likewise.
        of_whole_output: whether it does not apply to calls that were cancelled.
    """

    column: str
    least: float | None
    most: float | None
    of_whole_output: bool = False


def bound_of(rule: Rule) -> ColumnBound | None:
    """That of a rule of the room "columns" without conditions; None where there is none."""
    params: Any = rule.params
    if rule.type == "latency":
        return ColumnBound("latency_ms", None, params.max)
    if rule.type == "cost":
        return ColumnBound("cost_nano", 0, params.max * _NANO - _ROUNDED - 1)
    if params.min is params.max is None:
        return None
    return ColumnBound("tokens_out", params.min, params.max, of_whole_output=True)


def all_pass(bounds: Iterable[ColumnBound | None], calls: CallsToJudge) -> bool:
    """Whether it is certain that all calls of a batch pass; some us."""
    for bound in bounds:
        if bound is None:
            return False
        name, least, most, of_whole_output = bound
        values = getattr(calls, name)
        if not (most is None or np.maximum.reduce(values) <= most):
            return False
        if not (least is None or np.minimum.reduce(values) >= least):
            return False
        if of_whole_output and np.bitwise_or.reduce(calls.filled) & _ATTRS_BIT:
            return False
    return True


def column_results(rule: Rule, calls: CallsToJudge, rows: I64 | None) -> I8 | None:
    """The result of a rule without conditions for the calls at `rows`, as codes; None where all pass.

    Args:
        rule: of the room "columns".
        calls: of the batch; some.
        rows: places in the batch, shape (n,); None: all. Some ns per call, and one where all pass.
    """
    if rule.type == "latency":
        return _bounded(at_rows(calls.latency_ms, rows), None, rule.params.max)  # type: ignore[attr-defined]  # of `Latency`
    if rule.type == "cost":
        return _costs(rule.params.max, calls, rows)  # type: ignore[attr-defined]  # of `Cost`
    values = at_rows(calls.tokens_out, rows)
    least, most = rule.params.min, rule.params.max  # type: ignore[attr-defined]  # of `OutputLength`
    codes = _bounded(values, least, most)
    if least is None and most is None:
        codes = np.full(len(values), ERROR, np.int8)
    return _without_cancelled(codes, calls, rows)


def at_rows(column: NDArray[Any], rows: I64 | None) -> Any:
    """The values at `rows`; the column itself where that is None."""
    return column if rows is None else column[rows]


def _without_cancelled(codes: I8 | None, calls: CallsToJudge, rows: I64 | None) -> I8 | None:
    """The output of a call that was cancelled is not whole."""
    filled = at_rows(calls.filled, rows)
    if not np.bitwise_or.reduce(filled) & _ATTRS_BIT:
        return codes
    labelled = np.flatnonzero(filled & _ATTRS_BIT)
    records = at_rows(calls.records, rows)[labelled]
    cancelled = labelled[[(record.attrs or {}).get("cancelled") is True for record in records.tolist()]]
    if len(cancelled):
        codes = np.full(len(filled), PASS, np.int8) if codes is None else codes
        codes[cancelled] = NOT_APPLICABLE
    return codes


def _costs(most: float, calls: CallsToJudge, rows: I64 | None) -> I8 | None:
    """By the nano-dollars, to which costs are rounded; only those at the bound are read again."""
    nano, bound = at_rows(calls.cost_nano, rows), most * _NANO
    if np.minimum.reduce(nano) >= 0 and np.maximum.reduce(nano) < bound - _ROUNDED:
        return None
    codes = np.where(nano > bound, FAIL, PASS).astype(np.int8)
    codes[nano < 0] = NOT_APPLICABLE
    records = at_rows(calls.records, rows)
    for place in np.flatnonzero((np.abs(nano - bound) <= _ROUNDED) & (nano >= 0)).tolist():
        codes[place] = FAIL if _cost(records[place]) > most else PASS
    return codes


def _bounded(values: F64, least: float | None, most: float | None) -> I8 | None:
    """With one look at the extremes where all pass; nan, an absent value, is neither above a bound nor below it."""
    if (most is None or np.maximum.reduce(values) <= most) and (least is None or np.minimum.reduce(values) >= least):
        return None
    codes = np.full(len(values), PASS, np.int8)
    if most is not None:
        codes[values > most] = FAIL
    if least is not None:
        codes[values < least] = FAIL
    codes[np.isnan(values)] = NOT_APPLICABLE
    return codes
