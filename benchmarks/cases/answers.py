"""Cases of what comes late, of who answers, and of arms that are mute."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.cases.running import Check, Found, Run

_ROOT: Final = Path(__file__).parents[2]
_LIMIT_S: Final = 900
_SAID: Final = 200


@dataclass(frozen=True)
class Scripted(Check):
    """A case that brings the script of a live pipeline on librdkafka's mock broker, which leaves its snapshot."""

    script: str = ""

    def found(self, case: Path, folder: Path) -> Found:
        """What the product makes of it."""
        paths = os.pathsep.join(str(_ROOT / part) for part in ("", "sdk", "tests"))
        done = subprocess.run(
            [sys.executable, str(case / self.script), str(folder / "live")],
            cwd=_ROOT,
            env=os.environ | {"PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        snapshot = folder / "live" / "out" / "outcomes.duckdb"
        # What the script prints at its very end may need another checkout than this; by then the service has stopped.
        if not snapshot.exists():
            return {"exit code": done.returncode, "said": done.stderr.strip()[-_SAID:]}
        return self.got(Run({}, snapshot))


def _late(run: Run) -> Found:
    ((orphans,),) = run.rows("SELECT count(*) FROM dead_letters WHERE reason = 'orphan'")
    ((alerts,),) = run.rows("SELECT count(*) FROM alerts")
    ((lines,),) = run.rows("SELECT count(*) FROM pipeline_warnings WHERE kind = 'late_calls' AND count >= 500")
    return {"orphans": orphans, "alerts": alerts, "lines on late calls": lines}


def _answers(run: Run) -> Found:
    ((alerts,),) = run.rows("SELECT count(*) FROM alerts WHERE metric LIKE 'responses%'")
    return {"alerts on answers": alerts}


def _asked(run: Run) -> Found:
    ((fewer,),) = run.rows("SELECT count(*) > 0 FROM alerts WHERE metric LIKE 'responses:%' AND direction = 'down'")
    ((bare,),) = run.rows("SELECT count(*) FROM alerts WHERE kind = 'drift' AND caveat IS NULL")
    return {"fewer responses are noticed": fewer, "drift alerts without a caveat": bare}


def _renamed(run: Run) -> Found:
    ((alerts,),) = run.rows("SELECT count(*) FROM alerts WHERE kind = 'drift' OR metric LIKE 'responses%'")
    return {"alerts on rates and answers": alerts}


ANSWERS: Final = (
    Scripted(
        "01",
        "as a live pipeline",
        {"orphans": 0, "alerts": 0, "lines on late calls": 1},
        _late,
        script="backfill_kafka.py",
    ),
    Check("35", "as it was sent, but for its routing", {"alerts on rates and answers": 0}, _renamed),
    Check("37", "as it was sent", {"fewer responses are noticed": True, "drift alerts without a caveat": 0}, _asked),
    Check("38", "as it was sent", {"alerts on answers": 0}, _answers),
)
