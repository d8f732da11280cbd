"""Replays files through the dataflow, to their end.

A replay may be killed at any moment: the same command resumes it at its last epoch.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bytewax.dataflow import Dataflow

from aftercall.errors import UsageError
from aftercall.times import duration_us, to_datetime
from connectors.files.index import Index, index
from connectors.files.jsonl_sink import JsonlSink
from connectors.files.lane import FileLanes
from connectors.own_files import open_own
from connectors.texts.buffer import WAITING_FOLDER
from flows.dataflow.judging import judge_of, rule_alerts, session_book_of
from flows.dataflow.snapshot_messages import KnownContract
from flows.dataflow.snapshot_sink import SnapshotSettings, SnapshotSink
from flows.dataflow.steps import Joining
from flows.dataflow.stored_state import Keeping
from flows.outcomes import Outlets
from flows.outcomes import outcomes as outcomes_flow
from flows.runtime.contract_starts import in_force, known_in, starts_of
from flows.runtime.engine import execute
from flows.runtime.open_files import ensure_open_files
from flows.runtime.run_folder import (
    CHECKS,
    OUTPUTS,
    PICKLED,
    SEGMENTS,
    VERSION,
    Run,
    ensure_room,
    locked,
    open_run,
    read_run,
    settings_ignored,
    state_folder,
    write_run,
)
from flows.runtime.state_store import keeping_of, open_store
from flows.settings import Settings, load
from flows.settings.calendar import muted
from flows.settings.for_decoder import decoder_of
from flows.settings.for_models import envelopes_of
from flows.settings.for_texts import text_settings

CHECK_ROOM_S = 1.0
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Replay:
    """The files to replay, the output folder, and how to run."""

    calls: Sequence[Path]
    outcomes: Sequence[Path]
    out: Path
    settings: Settings
    workers: int = 1
    accept_config_change: bool = False
    marks: Sequence[Path] = ()


def run(replay: Replay, on_progress: OnProgress | None = None) -> list[str]:
    """Run the dataflow over the files to their end; a finished run of the same files is not run again.

    Returns:
        Warnings for the user, one sentence each.

    Raises:
        UsageError: the folder holds another run.
        RunError: the folder cannot be used.
        InputError: a file cannot be read.
    """
    ensure_open_files()
    state = state_folder(replay.out)
    with locked(state):
        ensure_room(replay.out)
        files = _indexed(replay, state)
        wanted = _described(replay, files)
        current = open_run(replay.out, wanted, accept_config_change=replay.accept_config_change)
        if current["finished"]:
            return [*files.warnings, *muted(replay.settings.calendar), *settings_ignored(replay.out, current, wanted)]
        keeping, old = keeping_of(replay.settings, state), current["version"] == PICKLED
        recovery = open_store(state, keeping, begun=False, old=old)
        current |= starts_of(replay.settings, current, state, keeping)
        write_run(state, current)
        for name in (*OUTPUTS, *((CHECKS,) if replay.settings.contracts.publish else ())):
            if not (replay.out / name).exists():  # a sink creates its file only with the first line
                open_own(replay.out / name, "x").close()
        flow, epoch = (
            build_replay(replay, files, current, on_progress, keeping),
            replay.settings.recovery.epoch,
        )
        execute(flow, state / "engine.log", workers=replay.workers, epoch=epoch, recovery=recovery)
        write_run(state, current | {"finished": True})
        shutil.rmtree(recovery)
        for folder in (SEGMENTS, WAITING_FOLDER):
            shutil.rmtree(state / folder, ignore_errors=True)
        return [*files.warnings, *muted(replay.settings.calendar)]


def file_ends(out: Path) -> dict[str, datetime | None]:
    """When the last call and the last outcome in the files of a run occurred; None where it is not known.

    Raises:
        StateError: a later version wrote the run.
        RunError: it cannot be read.
    """
    ends = read_run(out / "state").get("read_until", (None, None))
    return {
        name: None if at is None else to_datetime(at)
        for name, at in zip(("calls_end", "outcomes_end"), ends, strict=True)
    }


def _indexed(replay: Replay, state: Path) -> Index:
    settings = replay.settings
    latest = time.time_ns() // 1000 + duration_us(settings.join.max_future_skew)
    return index(replay.calls, replay.outcomes, state, settings.limits.unpacked, latest, replay.marks)


def _described(replay: Replay, files: Index) -> Run:
    return {
        "version": VERSION,
        "calls": [str(path) for path in replay.calls],
        "outcomes": [str(path) for path in replay.outcomes],
        **({"marks": [str(path) for path in replay.marks]} if replay.marks else {}),
        "fingerprint": f"{files.fingerprint:x}",
        "deciding": replay.settings.deciding(),
        "settings": replay.settings.effective(),
        "now_us": time.time_ns() // 1000,
        "read_until": list(files.ends),
        "finished": False,
    }


def build_replay(
    replay: Replay, files: Index, current: Run, on_progress: OnProgress | None, keeping: Keeping | None = None
) -> Dataflow:
    """The dataflow over these files.

    Args:
        replay: what to run.
        files: their index.
        current: as `open_run` gives it: its wall clock `now_us`, in µs, after which records are dead letters
            (`future`), and its seed.
        on_progress: called as records are read.
        keeping: how states are kept; by default whole.
    """
    settings, out = replay.settings, replay.out
    contracts = in_force(settings, current)
    decoder = decoder_of(settings, current["now_us"], contracts)
    snapshot = SnapshotSettings(
        folder=out,
        live=False,
        every=settings.snapshot.every,
        keep=settings.snapshot.keep,
        calls=settings.snapshot.calls,
        memory_mb=settings.snapshot.memory_mb,
        mode=settings.snapshot.rights,
        forget=settings.forget_after(settings.retention),
        apart=settings.alias.apart(),
        watched=settings.drift.sources,
        texts=text_settings(settings),
        contracts=[KnownContract(*one) for one in known_in(current)],
    )
    verdicts, alerts, recommendations, trust, letters = (JsonlSink(out / name) for name in OUTPUTS)
    checks = JsonlSink(out / CHECKS) if settings.contracts.publish else None
    outlets = Outlets(verdicts, alerts, recommendations, trust, letters, SnapshotSink(snapshot), checks)
    room_checked_at = time.monotonic()

    def progress(read: int, total: int) -> None:
        nonlocal room_checked_at
        if (now := time.monotonic()) - room_checked_at > CHECK_ROOM_S:
            room_checked_at = now
            ensure_room(out)
        if on_progress is not None:
            on_progress(read, total)

    lanes = FileLanes(files, decoder, on_progress=progress)
    kept = keeping or Keeping(envelopes_of(settings))
    joining = Joining(
        current["seed"],
        settings.join.max_waiting,
        max_sessions=settings.join.max_sessions,
        judge=judge_of(settings, contracts),
        session_book=session_book_of(settings, contracts),
    )
    return outcomes_flow(
        settings, lanes, outlets, keeping=kept, joining=joining, read_until=files.ends, on_rules=rule_alerts(contracts)
    )


def flow(
    calls: Sequence[str], outcomes: Sequence[str], out: str, config: str | None = None, marks: Sequence[str] = ()
) -> Dataflow:
    """The dataflow for `python -m bytewax.run "flows.replay:flow(calls=[...], outcomes=[...], out='...')"`.

    Recovery, workers and epochs are then Bytewax's own options (`-r`, `-w`, `-s`).

    Raises:
        UsageError: the folder holds another run, or a finished one.
    """
    settings = load(Path(config) if config else None)
    paths = ([Path(p) for p in files] for files in (calls, outcomes, marks))
    replay = Replay(next(paths), next(paths), Path(out), settings, marks=next(paths))
    state = state_folder(replay.out)
    files = _indexed(replay, state)
    current = open_run(replay.out, _described(replay, files), accept_config_change=False)
    if current["finished"]:
        raise UsageError(f"{out}: must not hold a finished run; it does (choose an empty folder)")
    current |= starts_of(settings, current, state, keeping_of(settings, state))
    write_run(state, current)
    return build_replay(replay, files, current, None)
