"""Processes that end with a code of their own where the interpreter ends its libraries, which threads may crash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from system.runs import ROOT

ENDED_LIBRARIES: Final = 86
VARIABLES: Final = {
    "ENDED_LIBRARIES": str(ENDED_LIBRARIES),
    "PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parent, ROOT, ROOT / "sdk"))),
}
"""The environment of such a process."""
