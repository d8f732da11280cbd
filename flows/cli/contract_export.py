"""Writes the starts of contracts into their files: `aftercall contract export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from aftercall.printable import printable
from flows.cli.options import Config


def export(
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run; by default that of the service.")
    ] = None,
    config: Config = None,
) -> None:
    """Write into the files of contracts from when the run has them judge, so that a replay judges as the run did.

    Only files without `effective_from` change. A contract that has judged since the beginning of time needs none.
    """
    from flows.runtime.contract_export import export_starts
    from flows.runtime.run_folder import read_run
    from flows.settings import load

    settings = load(config)
    run = read_run((out or Path(settings.service.folder)) / "state")
    for path in export_starts(settings, run):
        sys.stdout.write(printable(f"{path}: effective_from written") + "\n")
