"""`aftercall digest`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def digest(
    *,
    snapshot: Annotated[Path, typer.Option(metavar="FILE", help="The snapshot, or the folder it lies in.")] = Path(
        "outcomes.duckdb"
    ),
    week: Annotated[
        str | None, typer.Option(metavar="WEEK", help="ISO week (UTC), such as 2026-W47; by default the newest.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """What changed within a week, of all groups together, with few mistakes among what is listed."""
    from rich.console import Console

    from flows.reports.digest import read_digest, show_digest

    found = read_digest(snapshot / "outcomes.duckdb" if snapshot.is_dir() else snapshot, week)
    if as_json:
        sys.stdout.write(json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n")
    else:
        show_digest(found, Console(highlight=False, emoji=False))
