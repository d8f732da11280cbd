"""Replays files through the dataflow, to their end; killed at any moment, the same command goes on where it was."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from connectors.decode import Decoder
from connectors.file_index import Index, InputError, index
from connectors.files import FileLanes
from connectors.jsonl import JsonlSink
from flows.model_settings import microseconds
from flows.outcomes import Outlets, outcomes as outcomes_flow
from flows.settings import Settings, SettingsError, load
from flows.snapshot import SnapshotSettings, SnapshotSink

VERSION = 1
OUTPUTS = ("verdicts.jsonl", "alerts.jsonl", "recommendations.jsonl", "dead_letters.jsonl")
SNAPSHOT = "outcomes.duckdb"
Progress = Callable[[int, int], None]


class ReplayError(Exception):
    """The replay cannot run: one sentence for the user. `usage`: the command was wrong, not the system."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


@dataclass(frozen=True)
class Replay:
    """What is to be replayed, and where to."""

    calls: Sequence[Path]
    outcomes: Sequence[Path]
    out: Path
    settings: Settings
    workers: int = 1
    accept_config_change: bool = False


def run(replay: Replay, on_progress: Progress | None = None) -> list[str]:
    """Run the dataflow over the files to their end; a finished run of the same files is left as it is.

    Returns:
        Warnings for the user, a sentence each.

    Raises:
        ReplayError: the folder cannot be used, or holds another run.
        InputError: a file cannot be read.
    """
    state = _state_folder(replay.out)
    with _locked(state):
        files = index(replay.calls, replay.outcomes, state)
        run_file = state / "run.json"
        known = _known_run(replay, run_file, files)
        if known["finished"]:
            return files.warnings
        if known["fresh"]:
            _sweep(replay.out, state)
        _write_run(run_file, known)
        recovery = _recovery(state)
        flow = build(replay, files, known["now_us"], on_progress)
        with _lazy_collector():
            cli_main(
                flow,
                workers_per_process=replay.workers,
                epoch_interval=replay.settings.recovery.epoch,
                recovery_config=RecoveryConfig(recovery),
            )
        _write_run(run_file, known | {"finished": True})
        shutil.rmtree(recovery)
        return files.warnings


@contextmanager
def _lazy_collector() -> Iterator[None]:
    """Decoded records hold no cycles, and looking through them for some all the time would cost a tenth."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def build(replay: Replay, files: Index, now_us: int, on_progress: Progress | None) -> Dataflow:
    """The dataflow over these files. `now_us`: the wall clock that tells what is `future`."""
    settings, out = replay.settings, replay.out
    decoder = Decoder(
        now_us=now_us,
        max_future_skew_us=microseconds(settings.join.max_future_skew),
        keep_payloads=settings.privacy.keep_payloads,
    )
    snapshot = SnapshotSettings(
        folder=out,
        live=False,
        every=settings.snapshot.every,
        keep=settings.snapshot.keep,
        calls=settings.snapshot.calls,
        forget=_forget(settings),
    )
    outlets = Outlets(*(JsonlSink(out / name) for name in OUTPUTS), SnapshotSink(snapshot))
    return outcomes_flow(settings, FileLanes(files, decoder, on_progress=on_progress), outlets)


def flow(calls: Sequence[str], outcomes: Sequence[str], out: str, config: str | None = None) -> Dataflow:
    """The dataflow for `python -m bytewax.run "flows.replay:flow(calls=[...], outcomes=[...], out='...')"`.

    Recovery, workers and epochs are then Bytewax's own options (`-r`, `-w`, `-s`); without `-r` a fresh folder is needed.
    """
    replay = Replay(
        [Path(p) for p in calls], [Path(p) for p in outcomes], Path(out), load(Path(config) if config else None)
    )
    state = _state_folder(replay.out)
    return build(replay, index(replay.calls, replay.outcomes, state), time.time_ns() // 1000, None)


def _forget(settings: Settings) -> Mapping[str, timedelta]:
    """A replay drops nothing unless it is told to."""
    retention = settings.retention
    ages = {"calls": retention.calls, "statements": retention.statements, "hourly": retention.hourly}
    return {name: age for name, age in ages.items() if age is not None}


# --- the folder --------------------------------------------------------------------------------------------------------------


def _state_folder(out: Path) -> Path:
    state = out / "state"
    try:
        state.mkdir(parents=True, exist_ok=True)
        probe = state / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as wrong:
        msg = f"{out}: the output folder must be writable; {wrong.strerror} (choose another --out)"
        raise ReplayError(msg) from None
    return state


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = f"{state.parent}: another aftercall is writing there (wait for it, or choose another --out)"
            raise ReplayError(msg) from None
        yield


def _known_run(replay: Replay, run_file: Path, files: Index) -> dict[str, Any]:
    """What this folder's run is: a fresh one, one to go on with, or one that is finished."""
    mine = {
        "version": VERSION,
        "calls": [str(path) for path in replay.calls],
        "outcomes": [str(path) for path in replay.outcomes],
        "fingerprint": f"{files.fingerprint:x}",
        "deciding": replay.settings.deciding(),
        "settings": replay.settings.effective(),
        "now_us": time.time_ns() // 1000,
    }
    if not run_file.exists():
        if any((replay.out / name).exists() for name in (*OUTPUTS, SNAPSHOT)):
            msg = f"{replay.out}: holds outputs of another run (choose an empty --out)"
            raise ReplayError(msg, usage=True)
        return mine | {"finished": False, "fresh": True}
    try:
        known: dict[str, Any] = json.loads(run_file.read_text())
    except (OSError, ValueError) as wrong:
        msg = f"{run_file}: the state of a run must be readable; {wrong} (choose an empty --out)"
        raise ReplayError(msg) from None
    if known.get("version") != VERSION or known.get("fingerprint") != mine["fingerprint"]:
        msg = f"{replay.out}: holds another run's state, over {_shown(known)} (choose an empty --out)"
        raise ReplayError(msg, usage=True)
    if known["deciding"] != mine["deciding"] and not replay.accept_config_change:
        what = _difference(known["deciding"], mine["deciding"])
        msg = (
            f"{replay.out}: its run was started under other settings ({what}); choose an empty --out, put the setting back, "
            "or give --accept-config-change to apply it to calls accepted from now on"
        )
        raise ReplayError(msg, usage=True)
    return known | {"deciding": mine["deciding"], "settings": mine["settings"], "fresh": False}


def _shown(known: dict[str, Any]) -> str:
    names = [*known.get("calls", []), *known.get("outcomes", [])]
    return ", ".join(names) or "other files"


def _difference(before: Any, now: Any, place: str = "") -> str:
    """The first setting that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                return _difference(before.get(key), now.get(key), f"{place}.{key}" if place else key)
    return f"{place} was {before!r}, is {now!r}"


def _write_run(run_file: Path, run: dict[str, Any]) -> None:
    """Durable and whole, whenever the process dies."""
    draft = run_file.with_suffix(".draft")
    with draft.open("w") as file:
        json.dump({key: value for key, value in run.items() if key != "fresh"}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(run_file)


def _sweep(out: Path, state: Path) -> None:
    """A fresh run starts from nothing, also where an earlier one died before it wrote down that it was there."""
    shutil.rmtree(state / "recovery", ignore_errors=True)
    for name in OUTPUTS:
        (out / name).unlink(missing_ok=True)


def _recovery(state: Path) -> Path:
    """Bytewax's recovery store; made under another name, so that it is there whole or not at all."""
    folder = state / "recovery"
    if not folder.exists():
        draft = state / "recovery.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        init_db_dir(draft, 1)
        draft.rename(folder)
    return folder


__all__ = ["InputError", "Replay", "ReplayError", "SettingsError", "build", "flow", "run"]
