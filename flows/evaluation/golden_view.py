"""Shows the night of a golden set as JSON."""

from __future__ import annotations

import json
from typing import Any

from aftercall.records import to_json
from flows.evaluation.gate_view import gate_json
from flows.evaluation.golden import GoldenNight


def night_json(found: GoldenNight) -> dict[str, Any]:
    """As plain JSON values."""
    return {
        "golden": found.name,
        "night": found.night.isoformat(),
        "run_id": found.evaluated.run.run_id,
        "exit_code": int(found.ending.code),
        "reason": found.ending.reason,
        **{
            name: value
            for name, value in found.evaluated.summary.as_dict().items()
            if name in {"pass_rate", "interval", "avg_score", "total_cases", "failed_cases", "errors"}
        },
        "gate": gate_json(found.gate),
        "mean": None if found.mean is None else found.mean._asdict(),
        "alert": None if found.alert is None else json.loads(to_json(found.alert)),
        "sent": found.sent,
    }
