"""Draws the plots of the detection benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.detection import delays
from benchmarks.detection.promise import LEAST_PROMISED
from benchmarks.plots import IMAGES, Row, chart, draw

_SHOWN: Final = (
    delays.FORMULA, delays.SHIPPED, "ADWIN", "PageHinkley up, delta .01, alpha 1", "DDM, warm start 1,000",
    "EDDM", "HDDM_A", "HDDM_W", "KSWIN",
)  # fmt: skip


def drawn(tables: Mapping[str, Sequence[Row]], folder: Path = IMAGES) -> list[Path]:
    """Draw the plots of `specifications` into `folder`; draws nothing if vl-convert is absent."""
    paths = [draw(f"detection-{name}", plot, folder) for name, plot in specifications(tables).items()]
    return [path for path in paths if path is not None]


def specifications(tables: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, Any]]:
    """The specifications in Vega-Lite, by name."""
    return {"delays": _delays(tables["delays"]), "promise": _promise(tables["promise"])}


def _delays(rows: Sequence[Row]) -> dict[str, Any]:
    values = [
        {"drop": round(100 * row["drop"]), "over": row["over_oracle"], "method": row["method"]}
        for row in rows
        if (row["p0"], row["arl0"], row["history"]) == (0.9, 10_000, 10_000) and row["drop"] and row["method"] in _SHOWN
    ]
    return chart(
        "Mean delay over the oracle's, at p0 .9 and one false alarm in 10,000 events",
        values,
        mark={"type": "line", "point": True},
        encoding={
            "x": {"field": "drop", "type": "ordinal", "title": "drop, points", "axis": {"labelAngle": 0}},
            "y": {"field": "over", "type": "quantitative", "scale": {"type": "log"}, "title": "delay / oracle's delay"},
            "color": {
                "field": "method",
                "type": "nominal",
                "title": None,
                "sort": list(_SHOWN),
                "legend": {"labelLimit": 300},
            },
        },
    )


def _promise(rows: Sequence[Row]) -> dict[str, Any]:
    values = [
        {
            "threshold": f"A = {row['threshold']:,}",
            "stream": row["stream"],
            "what": f"{row['phase']}, by the {'hour' if row['minutes'] == 60 else 'minute'}",
            "ratio": row["ratio"],
            "upper": row["upper"],
        }
        for row in rows
        if row["promised"] >= LEAST_PROMISED
    ]
    streams = list(dict.fromkeys(value["stream"] for value in values))
    y = {"field": "stream", "type": "nominal", "title": None, "sort": streams}
    panels = list(dict.fromkeys(value["threshold"] for value in values))
    color = {"field": "what", "type": "nominal", "title": None}
    offset = {"field": "what"}
    mean = {"field": "ratio", "type": "quantitative", "title": "false alarms / promised; line: 95 % upper bound"}
    plot = chart("False alarms of the shipped detector over those promised", values)
    plot["facet"] = {"row": {"field": "threshold", "type": "nominal", "title": None, "sort": panels}}
    plot["spec"] = {
        "width": 520,
        "height": {"step": 7},
        "layer": [
            {
                "mark": "rule",
                "encoding": {"x": mean, "x2": {"field": "upper"}, "y": y, "yOffset": offset, "color": color},
            },
            {"mark": "point", "encoding": {"x": mean, "y": y, "yOffset": offset, "color": color}},
            {"mark": {"type": "rule", "strokeDash": [4, 4]}, "encoding": {"x": {"datum": 1}}},
        ],
    }
    plot["resolve"] = {"scale": {"x": "independent"}}
    return plot
