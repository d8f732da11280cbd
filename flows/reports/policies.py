"""Reads which policy to judge: `fixed:MODEL/CONFIG`, `weights:FILE` or `cheapest-within:2pts`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from aftercall.errors import ExitCode, UsageError
from flows.reports.snapshot_reader import InsightError
from models.arrays import F64

_FORMS: Final = "fixed:MODEL/CONFIG, weights:FILE or cheapest-within:2pts"
_WITHIN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)pts")
_TOLERANCE: Final = 1e-6
LEAST_VERDICTS: Final = 30
"""An arm with fewer is neither the best nor within so many points of it."""


def policy_weights(text: str, arms: Sequence[str], rate: F64, verdicts: F64, cost: F64) -> F64:
    """The weight of each arm under the policy that `--policy` names, shape (arms,).

    Args:
        text: the value of the option.
        arms: `model/config` of each.
        rate: success rate of each among its logged calls, in [0, 1]; nan without a verdict.
        verdicts: how many each has.
        cost: mean of its calls, USD; nan where none has a cost.

    Raises:
        UsageError: no such form, an unknown arm, or weights that do not sum to 1.
        InsightError: what is logged does not say which arm is the cheapest.
    """
    form, _, value = text.partition(":")
    if form == "fixed" and value:
        return _weights({value: 1.0}, arms, "--policy")
    if form == "weights" and value:
        return _weights(_of_file(Path(value)), arms, value)
    within = _WITHIN.fullmatch(value) if form == "cheapest-within" else None
    if within is None:
        raise UsageError(f"--policy: must be {_FORMS}; got {text!r} (see docs/routing.md)")
    return _cheapest(float(within[1]) / 100, rate, verdicts, cost)


def _of_file(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found:
        raise UsageError(f'{path}: must be a JSON object of weights; it is not (write it like {{"small/v1": 1}})')
    for name, weight in found.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight <= 1:
            raise UsageError(f"{path}: weights must be numbers from 0 to 1; got {weight!r} of {name!r} (mend it)")
    total = math.fsum(found.values())
    if abs(total - 1) > _TOLERANCE:
        raise UsageError(f"{path}: weights must sum to 1; got {total:g} (scale them)")
    return found


def _weights(named: dict[str, Any], arms: Sequence[str], place: str) -> F64:
    index = {arm: at for at, arm in enumerate(arms)}
    weights = np.zeros(len(arms))
    for name, weight in named.items():
        if name not in index:
            known = ", ".join(arms)
            raise UsageError(
                f"{place}: must name arms that were called or recommended; got {name!r} (choose of {known})"
            )
        weights[index[name]] = weight
    scaled: F64 = weights / weights.sum()
    return scaled


def _cheapest(points: float, rate: F64, verdicts: F64, cost: F64) -> F64:
    known = (verdicts >= LEAST_VERDICTS) & ~np.isnan(cost)
    if not known.any():
        raise InsightError(
            f"--policy: cheapest-within needs an arm with {LEAST_VERDICTS} verdicts and a cost; none has one (log "
            "cost_usd)",
            exit_code=ExitCode.UNDECIDED,
        )
    best = float(np.nanmax(np.where(verdicts >= LEAST_VERDICTS, rate, np.nan)))
    near = known & (rate >= best - points - 1e-12)
    if not near.any():
        raise InsightError(
            "--policy: cheapest-within needs the cost of an arm within these points of the best; none has one (log "
            "cost_usd)",
            exit_code=ExitCode.UNDECIDED,
        )
    weights = np.zeros(len(rate))
    weights[int(np.argmin(np.where(near, cost, np.inf)))] = 1.0
    return weights
