"""Keeps a run's folder: which run it holds, and one writer at a time.

`<out>/state/run.json` records what was started there and whether it is finished. It is never half written: a draft is
written beside it and renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from bytewax.recovery import init_db_dir

from aftercall.errors import NEW_OUT, StateError, UsageError, UserError

VERSION = 1
OUTPUTS = ("verdicts.jsonl", "alerts.jsonl", "recommendations.jsonl", "dead_letters.jsonl")
_SNAPSHOT = "outcomes.duckdb"
LEAST_ROOM: Final = 32 * 1024 * 1024
"""Bytes that must be free on the disk of a service: if a write of state fails, Bytewax aborts without a message."""

Run = dict[str, Any]
"""`run.json`: `version, calls, outcomes, fingerprint, deciding, settings, now_us, finished`."""


class RunError(UserError):
    """A replay or a service cannot run, or has failed."""


def state_folder(out: Path) -> Path:
    """Create the state folder within the output folder of a run, and check that it is writable.

    Raises:
        RunError: it cannot be created or written to.
    """
    state = out / "state"
    try:
        state.mkdir(parents=True, exist_ok=True)
        probe = state / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as wrong:
        message = f"{out}: the output folder must be writable; {wrong.strerror} (choose another --out)"
        raise RunError(message) from None
    return state


@contextmanager
def locked(state: Path) -> Iterator[int]:
    """Lock the folder against other runs; yields the descriptor of the lock file.

    The lock lasts until every process that inherited the descriptor has closed it.

    Raises:
        RunError: another process holds the lock.
    """
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            message = (
                f"{state.parent}: must be this run's alone; another is writing there (wait, or choose another --out)"
            )
            raise RunError(message) from None
        yield lock.fileno()


def open_run(out: Path, wanted: Run, *, accept_config_change: bool) -> Run:
    """The run to carry out: `wanted` in a fresh folder, otherwise the stored one, to resume or already finished.

    Raises:
        UsageError: the folder holds another run, or its settings that decide verdicts differ.
        StateError: another version wrote it.
        RunError: it cannot be read.
    """
    state = out / "state"
    run_file = state / "run.json"
    if not run_file.exists():
        if any((out / name).exists() for name in (*OUTPUTS, _SNAPSHOT)):
            raise UsageError(f"{out}: must hold no outputs of another run; it does (choose an empty --out)")
        # An earlier run may have died before it wrote `run.json`.
        shutil.rmtree(state / "recovery", ignore_errors=True)
        return wanted
    try:
        stored: Run = dict(json.loads(run_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as wrong:
        message = f"{run_file}: the state of a run must be readable; {wrong} (choose an empty --out)"
        raise RunError(message) from None
    if stored.get("version") != VERSION:
        raise StateError.of_version(str(run_file), VERSION, stored.get("version"))
    if stored.get("fingerprint") != wanted["fingerprint"]:
        what = _other_service(str(stored.get("fingerprint")), str(wanted["fingerprint"]))
        message = (
            f"{out}: must hold no other run's state; it holds one over {_files(stored)}{what} (choose an empty --out)"
        )
        raise UsageError(message)
    if stored["deciding"] != wanted["deciding"] and not accept_config_change:
        what = _difference(stored["deciding"], wanted["deciding"])
        message = (
            f"{out}: its run was started under other settings ({what}); choose an empty --out, put the setting back, "
            "or give --accept-config-change to apply it to calls accepted from now on"
        )
        raise UsageError(message)
    return stored if stored["finished"] else stored | {"deciding": wanted["deciding"], "settings": wanted["settings"]}


def settings_ignored(out: Path, stored: Run, wanted: Run) -> list[str]:
    """The warning for a finished run that is started again with other settings; empty if they are the same."""
    if stored["settings"] == wanted["settings"]:
        return []
    what = _difference(stored["settings"], wanted["settings"])
    kept = f"{out}: its run is finished, so its results stay those of its own settings ({what})"
    return [f"{kept}; choose an empty --out to apply others"]


def write_run(state: Path, run: Run) -> None:
    """Write `run.json` atomically and durably: a crash leaves the old or the new file, whole."""
    draft = state / "run.draft"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(run, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(state / "run.json")


def recovery_store(state: Path, *, begun: bool = False) -> Path:
    """Bytewax's recovery store; created under another name and renamed, so that it is never half there.

    Args:
        state: the state folder.
        begun: the run has already begun and cannot be read from its beginning again, so the store must exist.

    Raises:
        RunError: the store is damaged, or missing although the run has `begun`.
    """
    folder = state / "recovery"
    if begun and not folder.exists():
        raise RunError(
            f"{folder}: the state of the run that was begun here must be there; it is gone (put it back, or {NEW_OUT})"
        )
    if folder.exists():
        _check_store(folder)
    else:
        draft = state / "recovery.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        init_db_dir(draft, 1)
        draft.rename(folder)
    return folder


def ensure_room(out: Path) -> None:
    """Check that `LEAST_ROOM` bytes are free for what an epoch writes.

    Raises:
        RunError: fewer bytes are free.
    """
    free = shutil.disk_usage(out).free
    if free < LEAST_ROOM:
        raise RunError(
            f"{out}: {LEAST_ROOM >> 20} MiB must be free on its disk for the state and the snapshot; {free >> 20} are "
            "(make room, then give the same command again: the run resumes at its last epoch)"
        )


def _check_store(folder: Path) -> None:
    """Refuse a damaged store, on which Bytewax panics or crashes later. Reads all of it: 1 s per 200 MB or so."""
    if sqlite3.sqlite_version_info < (3, 37):  # cannot read the STRICT tables that Bytewax creates
        return
    for file in sorted(folder.glob("part-*.sqlite3")):
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)) as store:
                store.execute("SELECT part_index FROM parts")
                (verdict,) = store.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as wrong:
            verdict = str(wrong)
        if verdict != "ok":
            raise RunError(
                f"{file}: the state of the run must be as it was left; {' '.join(verdict.split())} (put it back from a "
                f"copy of the whole folder, or {NEW_OUT})"
            )


def _files(stored: Run) -> str:
    names = [*stored.get("calls", []), *stored.get("outcomes", [])]
    return ", ".join(names) or "other files"


def _other_service(before: str, now: str) -> str:
    """The first setting in which two fingerprints of a service differ; empty for fingerprints of files."""
    names = ("", "the cluster's id", "kafka.topics.calls", "kafka.topics.outcomes", "kafka.lanes")
    both = before.split(" "), now.split(" ")
    if any(len(words) != len(names) or words[0] != "kafka" for words in both):
        return ""
    return next(f": {name} was {old}, is {new}" for name, old, new in zip(names, *both, strict=True) if old != new)


def _difference(before: Any, now: Any, place: str = "") -> str:
    """The first setting that differs, with both values."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                return _difference(before.get(key), now.get(key), f"{place}.{key}" if place else key)
    return f"{place} was {before!r}, is {now!r}"
