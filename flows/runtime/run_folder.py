"""The folder of a run: who may write there, and which run it holds.

`<out>/state/run.json` says what was started there and whether it is finished. It never holds half a sentence: it is
written beside and renamed.
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
"""Bytes that must be free on the disk of a service; where a write of its state fails, Bytewax aborts without a word."""

Run = dict[str, Any]
"""`run.json`: `version, calls, outcomes, fingerprint, deciding, settings, now_us, finished`."""


class RunError(UserError):
    """A replay or a service cannot run, or has failed."""


def state_folder(out: Path) -> Path:
    """The folder of a run's state within its output folder, made and found writable.

    Raises:
        RunError: it cannot be made or written to.
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
    """Keep other processes out of the folder, until whoever has the file open that this gives is gone.

    Raises:
        RunError: one is already there.
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


def open_run(out: Path, mine: Run, *, accept_config_change: bool) -> Run:
    """What this folder's run is: `mine` where the folder is fresh, else the one to go on with, or that is finished.

    Raises:
        UsageError: it is another run, or one under settings that decide verdicts otherwise.
        StateError: another version wrote it.
        RunError: it cannot be read.
    """
    state = out / "state"
    run_file = state / "run.json"
    if not run_file.exists():
        if any((out / name).exists() for name in (*OUTPUTS, _SNAPSHOT)):
            raise UsageError(f"{out}: must hold no outputs of another run; it does (choose an empty --out)")
        # An earlier run may have died before it wrote down that it was there.
        shutil.rmtree(state / "recovery", ignore_errors=True)
        return mine
    try:
        known: Run = dict(json.loads(run_file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as wrong:
        message = f"{run_file}: the state of a run must be readable; {wrong} (choose an empty --out)"
        raise RunError(message) from None
    if known.get("version") != VERSION:
        raise StateError.of_version(str(run_file), VERSION, known.get("version"))
    if known.get("fingerprint") != mine["fingerprint"]:
        what = _other_service(str(known.get("fingerprint")), str(mine["fingerprint"]))
        message = (
            f"{out}: must hold no other run's state; it holds one over {_files(known)}{what} (choose an empty --out)"
        )
        raise UsageError(message)
    if known["deciding"] != mine["deciding"] and not accept_config_change:
        what = _difference(known["deciding"], mine["deciding"])
        message = (
            f"{out}: its run was started under other settings ({what}); choose an empty --out, put the setting back, "
            "or give --accept-config-change to apply it to calls accepted from now on"
        )
        raise UsageError(message)
    return known if known["finished"] else known | {"deciding": mine["deciding"], "settings": mine["settings"]}


def outdated(out: Path, known: Run, mine: Run) -> list[str]:
    """What to tell a user who gives a finished run other settings; nothing where they are the same."""
    if known["settings"] == mine["settings"]:
        return []
    what = _difference(known["settings"], mine["settings"])
    told = f"{out}: its run is finished, so its results stay those of its own settings ({what})"
    return [f"{told}; choose an empty --out to apply others"]


def write_run(state: Path, run: Run) -> None:
    """Durable and whole, whenever the process dies."""
    draft = state / "run.draft"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(run, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(state / "run.json")


def recovery_store(state: Path, *, begun: bool = False) -> Path:
    """Bytewax's recovery store; made under another name, so that it is there whole or not at all.

    Raises:
        RunError: it is damaged, or gone though the run has `begun` and cannot be read from its beginning again.
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
    """Make sure that there is room for what an epoch writes.

    Raises:
        RunError: there is not.
    """
    free = shutil.disk_usage(out).free
    if free < LEAST_ROOM:
        raise RunError(
            f"{out}: {LEAST_ROOM >> 20} MiB must be free on its disk for the state and the snapshot; {free >> 20} are "
            "(make room, then give the same command again: the run goes on at its last epoch)"
        )


def _check_store(folder: Path) -> None:
    """Bytewax panics over a damaged store, or crashes later. Reads all of it: a second for some 200 MB."""
    if sqlite3.sqlite_version_info < (3, 37):  # knows nothing of the tables that Bytewax makes
        return
    for file in sorted(folder.glob("part-*.sqlite3")):
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)) as store:
                store.execute("SELECT part_index FROM parts")
                (found,) = store.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as wrong:
            found = str(wrong)
        if found != "ok":
            raise RunError(
                f"{file}: the state of the run must be as it was left; {' '.join(found.split())} (put it back from a "
                f"copy of the whole folder, or {NEW_OUT})"
            )


def _files(known: Run) -> str:
    names = [*known.get("calls", []), *known.get("outcomes", [])]
    return ", ".join(names) or "other files"


def _other_service(before: str, now: str) -> str:
    """The first setting in which two fingerprints of a service differ; nothing for those of files."""
    names = ("", "the cluster's id", "kafka.topics.calls", "kafka.topics.outcomes", "kafka.lanes")
    both = before.split(" "), now.split(" ")
    if any(len(words) != len(names) or words[0] != "kafka" for words in both):
        return ""
    return next(f": {name} was {one}, is {two}" for name, one, two in zip(names, *both, strict=True) if one != two)


def _difference(before: Any, now: Any, place: str = "") -> str:
    """The first setting that differs."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                return _difference(before.get(key), now.get(key), f"{place}.{key}" if place else key)
    return f"{place} was {before!r}, is {now!r}"
