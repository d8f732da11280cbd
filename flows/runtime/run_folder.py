"""Keeps a run's folder: which run it holds, and one writer at a time.

`<out>/state/run.json` records what was started there and whether it is finished. It is never half written: a draft is
written beside it and renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import randbits, token_hex
from typing import Any, Final

from xxhash import xxh3_128_hexdigest

from aftercall.errors import StateError, UsageError, UserError
from connectors.own_files import is_strange, open_draft, open_own, strange
from connectors.snapshot.versions import LINK, VERSIONS
from connectors.texts.pieces import TEXTS_FOLDER

VERSION = 3
"""Version 2 had all state in the recovery store; version 1 had no checksum in `run.json`, and pickles there."""
OUTPUTS = ("verdicts.jsonl", "alerts.jsonl", "recommendations.jsonl", "trust.jsonl", "dead_letters.jsonl")
CHECKS: Final = "checks.jsonl"
"""Of violations, where these are published."""
FOLDERS: Final = ("state", VERSIONS)
LEAST_ROOM: Final = 32 * 1024 * 1024
"""Bytes that must be free on the disk of a service: if a write of state fails, Bytewax aborts without a message."""

PICKLED: Final = 1
_WHOLE: Final = 2
_SEED_BITS: Final = 64
STOPPED: Final = "stopped"
RUN_ID: Final = "run_id"
INCARNATION: Final = "incarnation"
SEGMENTS: Final = "segments"
"""Folder of the segments, within the state folder."""

Run = dict[str, Any]
"""`run.json`: `version, calls, outcomes, fingerprint, deciding, settings, now_us, finished, seed`, and its `checksum`.

`marks`: files of marks, where there are some.

`seed`: a secret of 64 bits, without which ids cannot be chosen that make the join slow; absent until an earlier
version's folder is opened. Nothing that is stored or that leaves the pipeline depends on it. Of a replay,
`read_until` has the times of the last call and the last outcome in its files, us or null.

`stopped`, where it is there: the digest of the recovery store at an orderly stop. A service has `run_id` too, drawn at
its first start, and `incarnation`, that of its last claim on the topics.
"""


class RunError(UserError):
    """A replay or a service cannot run, or has failed."""


def state_folder(out: Path) -> Path:
    """Create the folders of state and snapshots within that of a run, and check that they are writable, and ours.

    Only this user may look into the former: it holds texts of records. One that an earlier version left open is closed.

    Returns:
        The state folder.

    Raises:
        UsageError: DuckDB would take the path for something else.
        RunError: it cannot be created or written to, or there are links in it.
    """
    _refuse_names(out)
    state, snapshots = (out / name for name in FOLDERS)
    _refuse_file(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _refuse_strange(out)
        for folder, rights in ((state, 0o700), (snapshots, 0o777)):
            _refuse_file(folder)
            folder.mkdir(mode=rights, exist_ok=True)
            probe = folder / f".probe-{token_hex(8)}"
            open_own(probe, "x").close()
            probe.unlink()
        rights = stat.S_IMODE(state.stat().st_mode)
        # Another user's folder cannot be closed: by a group both may write to it.
        if rights & 0o077 and state.stat().st_uid == os.geteuid():
            state.chmod(rights & ~0o077)
    except OSError as wrong:
        message = f"{out}: the output folder must be writable; {wrong.strerror} (choose another --out)"
        raise RunError(message) from None
    return state


def _refuse_names(out: Path) -> None:
    """Make sure that DuckDB takes the path for one, and that it can be written in texts.

    Raises:
        UsageError: it does not, or cannot.
    """
    try:
        str(out.absolute()).encode()
    except UnicodeEncodeError:
        raise UsageError(f"--out: must be a path in UTF-8; got {out.absolute()} (choose another name)") from None
    if "?" in str(out.absolute()):
        raise UsageError(
            f"--out: must be a path without '?', after which DuckDB looks for options; got {out} (choose another name)"
        )
    if any(":" in part for part in out.parts[:1]):
        raise UsageError(
            f"--out: must not begin with a name that has a ':', which DuckDB takes for a kind of database; got {out} "
            f"(choose another name, or give {out.absolute()})"
        )


def _refuse_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: the output folder must be writable; it is a file (choose another --out)")


def _refuse_strange(out: Path) -> None:
    """Make sure that all of a run are files and folders; only the newest snapshot lies behind a link, which is ours.

    Raises:
        RunError: something else is there.
    """
    own = [out / name for name in (*OUTPUTS, CHECKS)] + [path for path in out.glob("outcomes*") if path.name != LINK]
    within = (path for folder in (*FOLDERS, TEXTS_FOLDER) for path in strange(out / folder))
    found = next(within, None) or next((path for path in own if is_strange(path)), None)
    if found is None:
        return
    what = "a link, which may lead to what is not ours" if found.is_symlink() else "neither"
    raise RunError(f"{found}: must be a file or folder of this run; it is {what} (remove it, or choose another --out)")


@contextmanager
def locked(state: Path) -> Iterator[int]:
    """Lock the folder against other runs; yields the descriptor of the lock file.

    The lock lasts until every process that inherited the descriptor has closed it.

    Raises:
        RunError: another process holds the lock.
    """
    with open_own(state / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = (
                f"{state.parent}: must be this run's alone; another is writing there (wait, or choose another --out)"
            )
            raise RunError(message) from None
        except OSError as wrong:
            message = (
                f"{state.parent}: must be on a file system that has locks; {wrong.strerror} (choose an --out on a disk "
                "of this host, or mount the network file system with locks)"
            )
            raise RunError(message) from None
        yield lock.fileno()


def open_run(out: Path, wanted: Run, *, accept_config_change: bool) -> Run:
    """The run to carry out: `wanted` in a fresh folder, otherwise the stored one, to resume or already finished.

    It has a seed: a new one in a fresh folder, and in one of an earlier version.

    Raises:
        UsageError: the folder holds another run, or its settings that decide verdicts differ.
        StateError: a later version wrote it.
        RunError: it cannot be read.
    """
    state = out / "state"
    run_file = state / "run.json"
    if not run_file.exists():
        if any((out / name).exists() for name in (*OUTPUTS, CHECKS, LINK, TEXTS_FOLDER)):
            raise UsageError(f"{out}: must hold no outputs of another run; it does (choose an empty --out)")
        # An earlier run may have died before it wrote `run.json`.
        for folder in ("recovery", SEGMENTS):
            shutil.rmtree(state / folder, ignore_errors=True)
        return wanted | {"seed": randbits(_SEED_BITS)}
    stored = read_run(state)
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
    stored.setdefault("seed", randbits(_SEED_BITS))
    return stored if stored["finished"] else stored | {"deciding": wanted["deciding"], "settings": wanted["settings"]}


def settings_ignored(out: Path, stored: Run, wanted: Run) -> list[str]:
    """The warning for a finished run that is started again with other settings; empty if they are the same."""
    if stored["settings"] == wanted["settings"]:
        return []
    what = _difference(stored["settings"], wanted["settings"])
    kept = f"{out}: its run is finished, so its results stay those of its own settings ({what})"
    return [f"{kept}; choose an empty --out to apply others"]


def read_run(state: Path) -> Run:
    """What `write_run` wrote, or a version before it: `version` says which.

    Raises:
        StateError: a later version wrote it.
        RunError: it cannot be read, or is damaged.
    """
    file = state / "run.json"
    try:
        stored: Run = dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as wrong:
        message = f"{file}: the state of a run must be readable; {wrong} (choose an empty --out)"
        raise RunError(message) from None
    checksum, version = stored.pop("checksum", None), stored.get("version")
    if version == PICKLED and checksum is None:
        return stored
    if version in {PICKLED, _WHOLE, VERSION} and checksum != _checksum(stored):
        raise RunError(
            f"{file}: must match its checksum; it does not, so it is damaged (put it back from a copy, or choose an "
            "empty --out)"
        )
    if version not in {_WHOLE, VERSION}:
        raise StateError.of_version(str(file), VERSION, version)
    return stored


def _checksum(run: Run) -> str:
    return xxh3_128_hexdigest(json.dumps(run, sort_keys=True).encode())


def write_run(state: Path, run: Run) -> None:
    """Write `run.json` atomically and durably: a crash leaves the old or the new file, whole."""
    run = run | {"version": VERSION}
    draft = state / "run.draft"
    with open_draft(draft) as file:
        json.dump(run | {"checksum": _checksum(run)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(state / "run.json")


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


def _files(stored: Run) -> str:
    names = [*stored.get("calls", []), *stored.get("outcomes", []), *stored.get("marks", [])]
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
