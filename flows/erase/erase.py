"""Erases calls through the pipeline: the running one, or a short run of it.

Either way the request passes through the dataflow, so that state, snapshots and recovery agree
(docs/decisions/0009-erasure.md).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from aftercall import open_snapshot
from aftercall.errors import UsageError
from connectors.decode.uuids import uuid_form
from connectors.erasure.requests import Erasures
from connectors.snapshot.errors import naming
from connectors.snapshot.versions import LINK
from connectors.texts.day_files import DayFiles
from connectors.texts.pieces import TEXTS_FOLDER
from flows.erase.stopped import erase_if_stopped, scrub_while_used, unsent
from flows.runtime.run_folder import RunError, open_run, state_folder
from flows.settings import Settings
from flows.settings.for_texts import text_settings

_LOOK_EVERY_S: Final = 0.2
_ROUNDS: Final = 3
"""A session may get new calls while it is being erased, which the next round erases."""


@dataclass(frozen=True)
class Job:
    """What to erase, and where.

    Attributes:
        settings: of the run.
        out: output folder of the run.
        call_ids: calls to erase.
        sessions: sessions to erase: what is known of them, and all their calls in the newest snapshot.
        within: how long to wait for a running pipeline.
    """

    settings: Settings
    out: Path
    call_ids: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    within: timedelta = timedelta(minutes=10)


@dataclass(frozen=True)
class Result:
    """What was erased.

    Attributes:
        calls: number of ids erased.
        removed: number of calls, outcomes, rows and files removed, by kind.
        sent: whether the tombstones and dead letters are on Kafka.
        scrubbed: whether the free pages of the recovery store are clean.
        growing: whether the sessions still got new calls after the last round.
        by_session: whether calls were looked up by their session.
    """

    calls: int
    removed: dict[str, int]
    sent: bool = True
    scrubbed: bool = True
    growing: bool = False
    by_session: bool = False


def erase(job: Job) -> Result:
    """Erase, and return once it is done.

    Raises:
        UsageError: the folder holds no run of these settings, or the snapshot holds no calls to look sessions up in.
        RunError: the running pipeline did not finish within `job.within`.
    """
    _check(job)
    done, removed, ids = 0, Counter[str](), _requested(job)
    growing = False
    for turn in range(_ROUNDS):
        if turn and not ids:
            break
        removed.update(_erased(job, ids))
        done += len(ids)
        # Calls that a session got between the snapshot in use and the erasure are in the new snapshot.
        ids = _of_sessions(job) if job.sessions else []
        growing = turn == _ROUNDS - 1 and bool(ids)
    state = job.out / "state"
    sent, scrubbed = not unsent(state).exists(), scrub_while_used(state)
    return Result(done, dict(removed), sent, scrubbed, growing, bool(job.sessions))


def _check(job: Job) -> None:
    """The settings must be those of the run, or the state would be stored under others."""
    file = job.out / "state" / "run.json"
    if not file.exists():
        raise UsageError(f"{job.out}: must hold the state of a run; it holds none (give the --out of the run)")
    try:
        fingerprint = str(json.loads(file.read_text(encoding="utf-8"))["fingerprint"])
    except (OSError, ValueError, TypeError, KeyError) as wrong:
        raise RunError(f"{file}: the state of a run must be readable; {wrong} (put the file back)") from None
    kind, _, rest = fingerprint.partition(" ")
    if kind != "kafka":
        raise UsageError(
            f"{job.out}: must be the folder of `aftercall run`; it is that of a replay (take the call out of the "
            "files, and replay them into a new folder)"
        )
    kafka = job.settings.kafka
    wanted = f"kafka {rest.split(' ')[0]} {kafka.topics.calls} {kafka.topics.outcomes} {kafka.lanes}"
    described = {"fingerprint": wanted, "deciding": job.settings.deciding(), "settings": job.settings.effective()}
    open_run(job.out, described, accept_config_change=False)
    if job.sessions and job.settings.snapshot.calls == "none":
        raise UsageError(
            '--session: its calls are looked up in the snapshot, which must hold calls; snapshot.calls is "none" '
            "(name the calls with --call)"
        )
    locked = DayFiles(job.out / TEXTS_FOLDER, key=text_settings(job.settings).key).locked()
    if locked is not None:
        raise UsageError(
            f"texts.key_file: must be the key of all files of texts, so that calls can be erased from them; {locked} "
            "is under another one (put that key back, or stop the service and delete the file)"
        )


def _requested(job: Job) -> list[str]:
    # A call that was accepted before ids were read as UUIDs has its id as it was sent.
    spelled = map(uuid_form, job.call_ids) if job.settings.join.id_form == "uuid" else ()
    return list(dict.fromkeys([*job.call_ids, *spelled, *(_of_sessions(job) if job.sessions else [])]))


def _of_sessions(job: Job) -> list[str]:
    """The calls of the sessions in the newest snapshot."""
    link = job.out / LINK
    if not link.exists():
        return []
    query = "SELECT DISTINCT call_id FROM calls WHERE list_contains(?::VARCHAR[], session_id) ORDER BY 1"
    with naming(link), open_snapshot(link) as snapshot:
        return [row[0] for row in snapshot.execute(query, [list(job.sessions)]).fetchall()]


def _erased(job: Job, ids: Sequence[str]) -> dict[str, int]:
    """Have one request carried out, by the running pipeline or in its place; returns what was removed, by kind."""
    state = state_folder(job.out)
    requests = Erasures(state)
    request = requests.submit(ids, job.sessions)
    deadline = time.monotonic() + job.within.total_seconds()
    while (receipt := requests.receipt(request.request)) is None:
        if erase_if_stopped(job.settings, job.out):
            continue
        if time.monotonic() > deadline:
            raise RunError(
                f"{job.out}: the running pipeline must finish an epoch and a snapshot; it did not within "
                f"{job.within.total_seconds():g} s (see /readyz for why; the request is kept and will be carried out)"
            )
        time.sleep(_LOOK_EVERY_S)
    removed: dict[str, int] = receipt["removed"]
    return removed
