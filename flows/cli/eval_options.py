"""Defines the options of `aftercall eval` about tools that are broken on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Inject = Annotated[
    str,
    typer.Option("--inject", metavar="FAULTS", help="Tools to break, such as timeout:search=0.2,empty:crm,slow:*=2s."),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, max=2**63 - 1, help="The same seed draws the same.")]
Emit = Annotated[
    bool,
    typer.Option("--emit", help="Send answers as calls and outcomes, where AFTERCALL_FILE, _URL or _KAFKA says."),
]
FaultLog = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The --log of `eval proxy`, for tools that it stands in front of."),
]
