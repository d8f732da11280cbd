"""Turns stored states of the drift step into those of the next version."""

from __future__ import annotations

from typing import Any


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
