"""Changes what a run has written about itself, with a checksum that fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flows.runtime.run_folder import read_run, write_run


def change_run(out: Path, **changes: Any) -> None:
    """Change fields of `run.json`; a version is written without looking at what belongs to it."""
    state = out / "state"
    write_run(state, read_run(state) | changes)
    if "version" in changes:
        run = json.loads((state / "run.json").read_text())
        (state / "run.json").write_text(json.dumps(run | {"version": changes["version"]}))
