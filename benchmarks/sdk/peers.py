"""An environment with OpenTelemetry and Langfuse, whose response paths are measured beside ours in one run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

PACKAGES: Final = ("langfuse==5.0.4", "opentelemetry-sdk==1.45.2", "pydantic>=2.12,<3")
"""Pinned: a figure is of these versions."""


def peers_python(folder: Path) -> Path:
    """The interpreter of the environment in this folder, which is made where it is missing."""
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--clear", "-p", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", str(python), *PACKAGES], check=True)
        (folder / "complete").touch()
    return python
