"""Bytewax's recovery store: made, checked before Bytewax loads it, and upgraded from the form it had before.

Bytewax unpickles each state that it loads, and panics on a damaged file. So every row is read with SQLite first: it
must be an envelope of ours for the step and the key of the row, and whole.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from bytewax.recovery import init_db_dir
from xxhash import xxh3_128

from aftercall.errors import NEW_OUT, StateError
from connectors.segments.folder import SegmentFolder
from flows.dataflow.manifest import Manifest, SegmentRef, manifest_in
from flows.dataflow.stored_state import Keeping, Loaded, Tracked
from flows.runtime.old_pickles import read_old
from flows.runtime.run_folder import SEGMENTS, RunError
from flows.runtime.stored_bytes import put_in, taken_out
from flows.settings import Settings
from flows.settings.for_models import envelopes_of
from models import plain
from models.state import Envelope, Envelopes, is_envelope, reading

_PUT_BACK: Final = f"put it back from a copy of the whole folder, or {NEW_OUT}"
_OLDEST_SQLITE: Final = (3, 37)
"""The first that reads the STRICT tables of Bytewax."""
_TABLES: Final = {
    "parts": ("part_index, part_count", ""),
    "exs": ("ex_num, worker_count, resume_epoch", ""),
    "fronts": ("ex_num, worker_index, worker_frontier", ""),
    "commits": ("part_index, commit_epoch", ""),
    "snaps": ("step_id, state_key, snap_epoch", ", ser_change"),
}
"""By table: the columns that order its rows, and the others; when a row was made decides nothing."""
_RESUME_EPOCH: Final = """
WITH latest AS (SELECT * FROM exs WHERE ex_num = (SELECT max(ex_num) FROM exs))
SELECT CASE
    WHEN count(DISTINCT worker_index) < worker_count THEN resume_epoch
    ELSE min(max(worker_frontier, resume_epoch))
END
FROM latest LEFT JOIN fronts USING (ex_num)
"""
"""The epoch with which Bytewax goes on: a worker that has ended none is where the last run began. NULL: no run yet."""
_NEWEST: Final = """
SELECT rowid FROM snaps WHERE snap_epoch = (
    SELECT max(snap_epoch) FROM snaps AS other
    WHERE other.step_id = snaps.step_id AND other.state_key = snaps.state_key AND snap_epoch < ?
)
"""
"""Rows that Bytewax loads: the newest of each key before the epoch with which it goes on."""
_ONE: Final = "SELECT step_id, state_key, ser_change FROM snaps WHERE rowid = ?"
_BEYOND_ALL: Final = 2**62
_NESTED: Final = {
    "snapshot_out": (("cells",),),
    "drift": (("opinion", "windows"), ("numeric", "series")),
}
"""By step, where an old state has a pickle inside."""


def open_store(
    state: Path,
    keeping: Keeping,
    *,
    begun: bool,
    old: bool = False,
    unsealed: bool = False,
    stopped: str | None = None,
) -> Path:
    """The recovery store of a run, checked; a new one is made under another name and renamed, so never half there.

    States of epochs that never ended are deleted: Bytewax leaves them, and takes them up as soon as it has gone on past
    their epoch, where a step had nothing to store in between. They belong to input that was read again since.

    Reads all of it: 1 s per 200 MB or so.

    Args:
        state: the state folder.
        keeping: how its states are kept. Segments that no state names are deleted.
        begun: the run has already begun and cannot be read from its beginning again, so the store must exist.
        old: the store is of a version that had no envelopes; its states are put into some.
        unsealed: accept envelopes whose checksum has no key, and seal them with it.
        stopped: `digest` of the store when the run was stopped, which it must still have; None after a kill.

    Raises:
        RunError: the store is missing although the run has `begun`, or SQLite finds it damaged.
        StateError: a state in it is not what this run has stored.
    """
    folder, envelopes = state / "recovery", keeping.envelopes
    files = sorted(folder.glob("part-*.sqlite3"))
    if begun and not files:
        raise RunError(
            f"{folder}: the state of the run that was begun here must be there; it is gone (put it back, or {NEW_OUT})"
        )
    if not folder.exists():
        draft = state / "recovery.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        init_db_dir(draft, 1)
        draft.rename(folder)
        return folder
    for file in files:
        with _opened(file) as store:
            _check_pages(store, file)
    # Before anything in it is rewritten.
    if stopped is not None and digest(state) != stopped:
        raise StateError(
            f"{folder}: the state must be as it was when the run was stopped; it has changed since ({_PUT_BACK})"
        )
    for file in files:
        with _opened(file) as store:
            if old:
                _upgrade(store, file, envelopes)
            elif unsealed and envelopes.kind != Envelopes().kind:
                _seal(store, file, keeping)
    _sweep(files, keeping)
    return folder


def keeping_of(settings: Settings, state: Path) -> Keeping:
    """How a run keeps its states in its state folder."""
    folder = SegmentFolder(state / SEGMENTS)
    return Keeping(envelopes_of(settings), folder, settings.recovery.segment_kb * 1024)


def newest_state(state: Path, keeping: Keeping, step: str) -> Any:
    """What a step of one key, or a sink of one part, has stored last, not migrated; None where it has nothing yet.

    To be called after `open_store`.
    """
    for file in sorted((state / "recovery").glob("part-*.sqlite3")):
        with _opened(file) as store:
            for (row,) in store.execute(_NEWEST, [_resume_epoch(store)]).fetchall():
                step_id, key, data = store.execute(_ONE, [row]).fetchone()
                stored = taken_out(data) if _step(step_id) == step and data is not None else None
                if stored is not None:
                    return Loaded(keeping, step, stored, key).state(Tracked.merge)
    return None


def sweep(state: Path, keeping: Keeping) -> None:
    """Delete the segments that no stored state names, after a run has ended.

    Raises:
        RunError, StateError: as `open_store`.
    """
    _sweep(sorted((state / "recovery").glob("part-*.sqlite3")), keeping)


def _sweep(files: list[Path], keeping: Keeping) -> None:
    named = _check_states(files, keeping)
    for file in files:
        with _opened(file) as store:
            store.execute("DELETE FROM snaps WHERE snap_epoch >= ?", [_resume_epoch(store)])
    if keeping.folder is not None:
        keeping.folder.sweep(named)


def digest(state: Path) -> str:
    """A hash of all that the store holds, 32 hexadecimal digits; reads all of it."""
    found = xxh3_128()
    for file in sorted((state / "recovery").glob("part-*.sqlite3")):
        with _opened(file) as store:
            for table, (order, more) in _TABLES.items():
                found.update(table.encode())
                for row in store.execute(f"SELECT {order}{more} FROM {table} ORDER BY {order}"):
                    for value in row:
                        data = b"b" + value if isinstance(value, bytes) else repr(value).encode()
                        found.update(len(data).to_bytes(8, "little"))
                        found.update(data)
    return found.hexdigest()


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise RunError(f"Python's SQLite must be 3.37 or later; it is {sqlite3.sqlite_version} (use a newer Python)")
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as store:
            yield store
    except (sqlite3.Error, UnicodeDecodeError) as wrong:
        raise _damaged(file, str(wrong)) from None


def _check_pages(store: sqlite3.Connection, file: Path) -> None:
    (verdict,) = store.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _damaged(file, verdict)


def _damaged(file: Path, what: str) -> RunError:
    return RunError(f"{file}: the state of the run must be as it was left; {' '.join(what.split())} ({_PUT_BACK})")


def _check_states(files: list[Path], keeping: Keeping) -> set[str]:
    """Check the state in every row, and that the segments are there from which the run goes on, with their sizes.

    States of older epochs may name segments that are deleted already. The steps read what is in segments.

    Returns:
        The names of all segments that states of epochs that have ended name.
    """
    named: set[str] = set()
    for file in files:
        with _opened(file) as store:
            resume_epoch = _resume_epoch(store)
            newest = {row for (row,) in store.execute(_NEWEST, [resume_epoch])}
            for row, step_id, key, epoch, data in _rows(store):
                step = _step(step_id)
                place = f"{file}, step {step!r}, key {key!r}"
                stored = taken_out(data)
                if stored is None:
                    raise StateError(f"{place}: stored state must be bytes of ours; it is something else ({_PUT_BACK})")
                manifest = manifest_in(keeping.envelopes.read(stored, step, key, place))
                if manifest is not None and keeping.folder is not None and epoch < resume_epoch:
                    named.update(ref.name for ref in manifest.segments)
                    if row in newest:
                        _check_segments(manifest, keeping.folder)
    return named


def _check_segments(manifest: Manifest, folder: SegmentFolder) -> None:
    for ref in manifest.segments:
        found = folder.size(ref.name)
        if found != ref.size:
            what = "it is missing" if found is None else f"it has {found}"
            raise StateError(
                f"{folder.file(ref.name)}: a part of the stored state must have {ref.size} bytes; {what} ({_PUT_BACK})"
            )


def _rows(store: sqlite3.Connection) -> Iterator[Any]:
    # One at a time: a state may have some 100 MB.
    columns = "rowid, step_id, state_key, snap_epoch, ser_change"
    yield from store.execute(f"SELECT {columns} FROM snaps WHERE ser_change IS NOT NULL")


def _resume_epoch(store: sqlite3.Connection) -> int:
    """Our stores have one file, which holds the progress of all workers."""
    (epoch,) = store.execute(_RESUME_EPOCH).fetchone() or (None,)
    return _BEYOND_ALL if epoch is None else int(epoch)


def _step(step_id: str) -> str:
    return step_id.rpartition(".")[2]


def _upgrade(store: sqlite3.Connection, file: Path, envelopes: Envelopes) -> None:
    """Put the pickles of all rows into envelopes, in one transaction; those that are in some stay as they are."""

    def enveloped(step_id: str, key: str, data: bytes) -> bytes | None:
        stored, step = taken_out(data), _step(step_id)
        place = f"{file}, step {step!r}, key {key!r}"
        if stored is not None and is_envelope(stored):
            envelopes.read(stored, step, key, place)
            return None
        with reading(place):
            try:
                version, state = _old_state(step, data)
            except StateError as wrong:
                raise StateError(f"{place}: {wrong} ({_PUT_BACK})") from None
            return envelopes.pack(step, key, version, state)

    _rewrite(store, enveloped)


def _seal(store: sqlite3.Connection, file: Path, keeping: Keeping) -> None:
    """Give checksums without a key one with a key, in one transaction, and segments too, under new names."""
    anyone, envelopes = Envelopes(), keeping.envelopes

    def sealed(step_id: str, key: str, data: bytes) -> bytes | None:
        stored, step = taken_out(data), _step(step_id)
        place = f"{file}, step {step!r}, key {key!r}"
        if stored is None or not is_envelope(stored):
            raise StateError(f"{place}: stored state must be bytes of ours; it is something else ({_PUT_BACK})")
        try:
            envelopes.read(stored, step, key, place)
        except StateError:
            return envelopes.seal(_with_sealed_segments(anyone.read(stored, step, key, place), keeping))
        return None

    _rewrite(store, sealed)


def _with_sealed_segments(envelope: Envelope, keeping: Keeping) -> Envelope:
    """An envelope whose manifest names sealed copies of its segments, which are written."""
    manifest, folder = manifest_in(envelope), keeping.folder
    if manifest is None or folder is None:
        return envelope
    for at, ref in enumerate(manifest.segments):
        # One that is missing is of an epoch that has passed, or the check that follows finds it.
        if folder.size(ref.name) == ref.size:
            place = str(folder.file(ref.name))
            part = Envelopes().read(folder.read(ref.name), envelope.step, envelope.key, place)
            data, name = keeping.envelopes.seal(part), f"{ref.name}-{token_hex(4)}"
            folder.write(name, data)
            manifest.segments[at] = SegmentRef.of(name, data)
    folder.settle()
    return envelope._replace(body=plain.pack(manifest.plain()))


def _rewrite(store: sqlite3.Connection, changed: Any) -> None:
    """Replace states by what `changed(step_id, key, data)` gives, in one transaction; None: leave it."""
    store.execute("BEGIN IMMEDIATE")
    for (row,) in store.execute("SELECT rowid FROM snaps WHERE ser_change IS NOT NULL").fetchall():
        found = store.execute("SELECT step_id, state_key, ser_change FROM snaps WHERE rowid = ?", [row]).fetchone()
        new = changed(*found)
        if new is not None:
            store.execute("UPDATE snaps SET ser_change = ? WHERE rowid = ?", [put_in(new), row])
    store.execute("COMMIT")


def _old_state(step: str, data: bytes) -> tuple[int, Any]:
    """Version and plain value of a state as it was before there were envelopes."""
    state = read_old(data)
    if isinstance(state, bytes):
        state = read_old(state)
    if not isinstance(state, dict):
        return 1, state
    for *path, last in _NESTED.get(step, ()):
        within = state
        for name in path:
            within = within[name]
        within[last] = read_old(within[last])
    version = state.pop("version", 1)
    if not isinstance(version, int):
        raise StateError(f"an old state must have a number as its version; it has {version!r}")
    return version, state
