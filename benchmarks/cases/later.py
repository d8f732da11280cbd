"""Cases of issues that are not done: alarms, conversations, containers, arms that are gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.cases.running import Check, Found, Run

_AS_SENT: Final = "as it was sent"
_FEW: Final = 3
_LITTLE: Final = 0.05
_NAMES: Final = {
    "calls.csv": "CSV",
    "calls.jsonl.bz2": "bzip2",
    "calls.jsonl.gzip": "gzip",
    "calls.parquet": "Parquet",
    "long-window.jsonl.zst": "zst",
    "zipped-without-suffix.jsonl": "gzip",
}


def _alerts(what: str, condition: str = "true") -> Callable[[Run], Found]:
    """How many alerts there were, open or closed, that meet a condition in SQL."""
    return lambda run: {what: run.rows(f"SELECT count(*) FROM alerts WHERE {condition}")[0][0]}  # noqa: S608


def _few(run: Run) -> Found:
    ((alerts,),) = run.rows("SELECT count(*) FROM alerts")
    return {"alerts": f"at most {_FEW}" if alerts <= _FEW else alerts}


def _retired(run: Run) -> Found:
    rows = run.rows("SELECT weight FROM recommendations WHERE config = 'v7' QUALIFY seq = max(seq) OVER ()")
    weight = sum(row[0] for row in rows)
    return _alerts("drift alerts", "kind = 'drift'")(run) | {
        "traffic for v7": f"under {_LITTLE:.0%}" if weight < _LITTLE else f"{weight:.0%}"
    }


LATER: Final = (
    Check("03", _AS_SENT, {"alerts": 0}, _alerts("alerts")),
    Check("05", _AS_SENT, {"alerts": 0}, _alerts("alerts")),
    Check("06", _AS_SENT, {"alerts": 0}, _alerts("alerts")),
    Check("08", _AS_SENT, {"alerts": f"at most {_FEW}"}, _few),
    Check(
        "10",
        _AS_SENT,
        {"alerts on calls": 0},
        _alerts("alerts on calls", "kind = 'volume' AND metric = 'calls'"),
    ),
    *(
        Check(
            "28",
            name,
            {"calls": 4},
            lambda run: {"calls": run.printed["calls"]},
            calls=name,
            later=True,
            refused=word,
        )
        for name, word in _NAMES.items()
    ),
    Check("35", _AS_SENT, {"drift alerts": 0, "traffic for v7": f"under {_LITTLE:.0%}"}, _retired, later=True),
)
