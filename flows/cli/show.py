"""Prints all that is kept of one call: `aftercall show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.answers import console, print_json
from flows.cli.options import SNAPSHOT, Json, SnapshotPath, snapshot_file


def show(
    *,
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID", help="The id of the call.")],
    snapshot: SnapshotPath = SNAPSHOT,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="The key of encrypted texts: `texts.key_file`.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a call, its verdict, the statements about it, its tools, and its texts where they are kept."""
    from flows.reports.show import story_of
    from flows.reports.show_view import render_story
    from flows.settings.for_texts import text_key

    story = story_of(snapshot_file(snapshot), call_id, None if key_file is None else text_key(key_file, "--key-file"))
    if as_json:
        print_json(story.to_json())
    else:
        render_story(story, console())
