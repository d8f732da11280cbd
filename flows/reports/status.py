"""Reads where a run is from its snapshot: how far it has read, how complete its verdicts are, what it has refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from flows.reports.alerts import open_alerts
from flows.reports.snapshot_reader import InsightError, has_table, open_snapshot, rows

_COMPLETE: Final = """
SELECT span, sum(calls)::BIGINT AS calls, sum(resolved)::BIGINT AS resolved, sum(pending)::BIGINT AS pending,
  sum(expired)::BIGINT AS expired,
  sum(resolved) FILTER (resolved > 0) / sum(resolved / maturity) FILTER (resolved > 0) AS maturity
FROM current_rates GROUP BY span ORDER BY sum(calls), span
"""


def read_status(snapshot: Path) -> dict[str, Any]:
    """Where a run is; docs/reference.md, section 5, has the fields. Times are aware, UTC.

    Raises:
        InsightError: no such snapshot.
    """
    with open_snapshot(snapshot) as base:
        found = rows(base, "SELECT * FROM pipeline")
        if not found:
            raise InsightError(f"status: {snapshot} must have a row in `pipeline`; it has none (run it again)")
        pipeline = found[0]
        reasons = rows(
            base,
            "SELECT reason, count(*) AS count, max(received_at) AS last_at FROM dead_letters GROUP BY reason "
            "ORDER BY 2 DESC, 1",
        )
        complete = rows(base, _COMPLETE)
        columns = "kind, subject, count, first_at, last_at, detail"
        warned = has_table(base, "pipeline_warnings")
        warnings = rows(base, f"SELECT {columns} FROM pipeline_warnings ORDER BY ALL") if warned else []
        alerts = len(open_alerts(base))
    positions = json.loads(pipeline.pop("positions") or "{}")
    counts = {name: pipeline.pop(name) or 0 for name in list(pipeline) if name not in _PLACE}
    return {
        "snapshot": str(snapshot.resolve()),
        **pipeline,
        "positions": positions,
        "counts": counts,
        "complete": complete,
        "dead_letters": reasons,
        "warnings": warnings,
        "open_alerts": alerts,
    }


_PLACE: Final = ("version", "written_at", "watermark")
