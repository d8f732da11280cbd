"""Turns stored states of the drift step into those of the next version."""

from __future__ import annotations

from typing import Any

import numpy as np

from aftercall.times import HOURS_PER_DAY, HOURS_PER_WEEK
from models.arrays import F64


def to_3(state: dict[str, Any]) -> dict[str, Any]:
    """River's detectors as plain values; version 2 had them as `pickle` describes them (`class`, `args`, `state`)."""
    opinion, numeric = state["opinion"], state["numeric"]
    windows = tuple((group, (day, count, _adwin(window))) for group, (day, count, window) in opinion["windows"])
    series = tuple((key, (*watch[:4], _page_hinkley(watch[4]), *watch[5:])) for key, watch in numeric["series"])
    return state | {"opinion": opinion | {"windows": windows}, "numeric": numeric | {"series": series}}


def _adwin(described: dict[str, Any] | None) -> dict[str, Any] | None:
    if described is None:
        return None
    kept = described["state"]
    window = kept["_helper"]
    return {"detected": kept["_drift_detected"], "window": window["args"], "buckets": window["state"]}


def _page_hinkley(described: dict[str, Any] | None) -> dict[str, Any] | None:
    if described is None:
        return None
    kept = {name: value for name, value in described["state"].items() if name not in {"_x_mean", "_test_drift"}}
    mean = described["state"]["_x_mean"]["state"]
    return kept | {"mean": (mean["n"], mean["_mean"])}


def to_4(state: dict[str, Any]) -> dict[str, Any]:
    """Weekly profiles that know how far counts lie apart, that may be an hour off, and that have hours of holidays.

    Evidence begins again. How far counts lie apart is taken from what hours varied, until hours have shown it.
    """
    volume = state["volume"]
    renewed = {
        # Of silences it was not counted in how many hours events came; each brought one at least.
        name: volume[name]
        | {
            "profile": _profile(volume[name]["profile"]),
            "quiet": volume[name]["quiet"] | {"busy": volume[name]["quiet"]["seen"].copy()},
        }
        for name in ("calls", "responses")
    }
    return state | {"volume": volume | renewed, "arms": None}  # what earlier versions did not watch begins


def to_5(state: dict[str, Any]) -> dict[str, Any]:
    """Detectors of success rates that know which trials share a unit; none did so far."""
    return state | {"rates": state["rates"] | {"units": None}}


def _profile(old: dict[str, F64]) -> dict[str, F64]:
    """Columns of `models.drift.volume.weekly_profile` from those of version 3."""
    rows, none = len(old["began"]), np.zeros(len(old["began"]))
    room = np.zeros((rows, HOURS_PER_DAY))
    of_slots = {name: np.concatenate((old[name], room), axis=1) for name in ("events", "exposure")}
    of_ratios = {name: np.repeat(old[name][:, None], 3, axis=1) for name in ("since", "evidence")}
    begun = dict.fromkeys(("r", "cusum", "seen", "foreseen", "gain"), np.zeros_like(of_ratios["since"]))
    of_shifts = dict.fromkeys(("day_due", "day_spread", "lead"), np.zeros((rows, 3)))
    plain = dict.fromkeys(("day_events", "holidays", "moved", "empty", "chance", "crowds"), none)
    kept = {name: old[name] for name in ("began", "days_off", "days_scale", "days", "hours")}
    copied = {name: column.copy() for name, column in (begun | of_shifts | plain).items()}
    return of_slots | of_ratios | copied | kept | _learned(old)


def _learned(old: dict[str, F64]) -> dict[str, F64]:
    """Phi = 1 + tau_h^2 (sum of mu^2) / (sum of mu), and what repeats itself, from the rates of the hours."""
    exposure = np.maximum(old["exposure"], 1e-9)
    rate = np.where(old["exposure"] > 0, old["events"] / exposure, 0.0)
    known = old["exposure"].sum(axis=1)
    mean = np.where(known > 0, old["events"].sum(axis=1) / np.maximum(known, 1e-9), 1.0)
    due = rate * (known / HOURS_PER_WEEK / _HELD)[:, None]
    varies = np.maximum(old["hours_off"], 0.0) / np.maximum(old["hours_scale"], 1e-9)
    usual = due.mean(axis=1)
    phi = np.clip(1 + varies * (due**2).mean(axis=1) / np.maximum(usual, 1e-9), 1.0, 1000.0)
    repeated = np.maximum(((due - usual[:, None]) ** 2).mean(axis=1) - phi * usual / _HELD, 0.0)
    scale = usual * old["hours"]
    return {
        "hours_off": phi * scale,
        "hours_scale": scale,
        "repeated": repeated * old["hours"],
        "level": usual**2 * old["hours"],
        "phi": phi,
        "shape": np.ones(len(phi)),
        "mean": mean,
        "known": old["events"].sum(axis=1),
        "fewer_most": np.full(len(phi), _MOST),
        "more_most": np.full(len(phi), _MOST),
        "surely": (due >= _SURELY * phi[:, None]).mean(axis=1) * old["hours"],
    }


_SURELY = 3.0
_MOST = 5.0
_HELD = 2.0
"""Weeks that a profile holds, about, older ones discounted."""
