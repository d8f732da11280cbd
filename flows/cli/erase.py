"""Removes calls and prints what was removed where and what remains: `aftercall erase`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftercall.errors import UsageError
from aftercall.events import MAX_CALL_ID
from aftercall.wire_parts import MAX_TEXT
from flows.cli.answers import print_json
from flows.cli.options import Config, Json, span

if TYPE_CHECKING:
    from flows.erase.erase import Result
    from flows.settings import Settings


def erase(
    *,
    config: Config = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run; by default service.folder.")
    ] = None,
    call: Annotated[
        list[str] | None, typer.Option("--call", metavar="ID...", help="Calls to remove, by `call_id`.")
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option("--session", metavar="ID...", help="Sessions whose calls are all removed, by `session_id`."),
    ] = None,
    within: Annotated[str, typer.Option(metavar="DURATION", help="How long to wait for a running pipeline.")] = "10m",
    as_json: Json = False,
) -> None:
    """Remove calls from state, snapshot and history, and print what remains on Kafka.

    A running pipeline removes them within a few epochs, and the command waits for it. A stopped pipeline need not be
    started, and no broker is needed.
    """
    _check(call or [], "--call", MAX_CALL_ID)
    _check(session or [], "--session", MAX_TEXT)
    if not call and not session:
        raise UsageError("--call, --session: one of them must be given; got none (name what to erase)")
    patience = span(within, "--within")

    from flows.erase.erase import Job
    from flows.erase.erase import erase as run
    from flows.settings import load

    settings = load(config)
    job = Job(settings, out or Path(settings.service.folder), tuple(call or ()), tuple(session or ()), patience)
    result = run(job)
    if as_json:
        print_json(_plain(result, settings))
    else:
        sys.stdout.write("".join(line + "\n" for line in _lines(result, settings)))


def _check(ids: list[str], option: str, longest: int) -> None:
    for given in ids:
        if not 1 <= len(given) <= longest:
            raise UsageError(f"{option}: must have 1 to {longest} characters; got {len(given)} (name an id)")


def _plain(result: Result, settings: Settings) -> dict[str, Any]:
    return {
        "calls": result.calls,
        "removed": result.removed,
        "sent": result.sent,
        "scrubbed": result.scrubbed,
        "remains": list(_remains(result, settings)),
    }


def _lines(result: Result, settings: Settings) -> Iterator[str]:
    """What was removed where, and what remains."""
    many = "1 call" if result.calls == 1 else f"{result.calls} calls"
    if any(count for name, count in result.removed.items() if name != "snapshots"):
        yield f"erased {many}" if result.calls else "no call of these sessions is in the snapshot; erased the sessions"
    elif result.calls:
        yield f"nothing was stored about the {many}"
    else:
        yield "no call of these sessions is in the snapshot: nothing was removed"
    yield from (f"  {place}: {result.removed.get(name, 0)}" for name, place in _PLACES.items())
    yield "what remains:"
    yield from (f"  {sentence}" for sentence in _remains(result, settings))


_PLACES = {
    "held": "calls held in the state",
    "waiting": "outcomes that waited for a call or a session, now dead letters",
    "calls": "rows of calls",
    "verdicts": "rows of verdicts, including superseded ones",
    "statements": "rows of statements, including superseded ones",
    "dead_letters": "rows of dead_letters",
    "texts": "texts of calls, those that wait for a failure too",
    "snapshots": "older snapshots dropped",
}


def _remains(result: Result, settings: Settings) -> Iterator[str]:
    topics = settings.kafka.topics
    yield (
        f"{topics.calls}, {topics.outcomes}: the original records, as long as the topics keep them; their offsets are "
        "not stored"
    )
    yield f"{topics.dead_letters}: dead letters of these records, as long as the topic keeps them"
    if result.sent:
        yield f"{topics.verdicts}: verdicts written before, until the broker compacts the topic after the tombstones"
    else:
        yield (
            f"{topics.verdicts}: verdicts; the broker did not answer, so the tombstones, which hold the ids, stay in "
            "state/erase until the pipeline starts"
        )
    if not result.scrubbed:
        yield "state/recovery: bytes in free pages of the store, until the pipeline starts next"
    if result.growing:
        yield "the sessions: new calls keep arriving; erase the sessions again once they have ended"
    elif result.by_session and settings.snapshot.calls == "decided":
        yield "the sessions: calls without a verdict are not in the snapshot, so --session does not find them"
    yield "counts and rates, which identify no call"
    yield "records read from now on: outcomes of these calls become orphans, a call with such an id is a new call"
