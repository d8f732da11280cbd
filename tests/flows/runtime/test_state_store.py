"""What Bytewax would load is checked before: each row is an envelope of ours, whole, for its step and key."""

from __future__ import annotations

import os
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from aftercall.errors import UserError
from flows.dataflow.stored_state import Keeping
from flows.runtime.run_folder import RunError
from flows.runtime.state_store import digest, open_store
from models.state import Envelopes, StateError

ANYONE: Final = Envelopes()
KEYED: Final = Envelopes(b"s" * 32)
OLD: Final[dict[tuple[str, str], Any]] = {
    ("flow.join", "1"): pickle.dumps({"version": 2, "calls": np.arange(3), "seen": {3, 1}}),
    ("flow.lanes", "0"): (7, None),
    ("flow.snapshot_out", "snapshot"): {"version": 1, "cells": pickle.dumps({"sums": (1, 2)}), "epoch": 4},
    ("flow.drift", "drift"): {
        "version": 2,
        "opinion": {"river": None, "windows": pickle.dumps([("group", (1, 2, None))])},
        "numeric": {"river": None, "series": pickle.dumps([("key", (0, 1.5))])},
    },
}
"""States before there were envelopes: those of steps are pickles, which Bytewax pickles once more."""


class Makes:
    """Unpickled, makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def file(state: Path) -> Path:
    return state / "recovery" / "part-0.sqlite3"


def change(state: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(file(state))) as store, store:
        store.execute(statement, values)


def insert(state: Path, step_id: str, key: str, stored: bytes | None, epoch: int = 1) -> None:
    change(state, "INSERT INTO snaps VALUES ('2026-01-01', ?, ?, ?, ?)", step_id, key, epoch, stored)


def rows(state: Path) -> list[Any]:
    with closing(sqlite3.connect(file(state))) as store:
        return store.execute("SELECT step_id, state_key, snap_epoch, ser_change FROM snaps ORDER BY 1, 2, 3").fetchall()


def envelope(step: str, key: str, content: Any = (), envelopes: Envelopes = ANYONE) -> bytes:
    """A row's bytes."""
    return pickle.dumps(envelopes.pack(step, key, 2, content), 4)


def made(state: Path, envelopes: Envelopes = ANYONE) -> Path:
    """A store with two good states and a deletion."""
    open_store(state, Keeping(ANYONE), begun=False)
    for key in ("0", "1"):
        insert(state, "flow.join", key, envelope("join", key, {"key": key}, envelopes))
    insert(state, "flow.join", "2", None)
    change(state, "INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (0, 1, 2)")
    return state


def made_old(state: Path) -> Path:
    open_store(state, Keeping(ANYONE), begun=False)
    for (step_id, key), content in OLD.items():
        insert(state, step_id, key, pickle.dumps(content, 4))
    insert(state, "flow.join", "2", None)
    return state


def refused(state: Path, envelopes: Envelopes = ANYONE, kind: type[UserError] = StateError, **options: Any) -> str:
    """The sentence with which the store is refused; nothing in it may have changed."""
    before = file(state).read_bytes() if file(state).exists() else b""
    with pytest.raises(kind) as error:
        open_store(state, Keeping(envelopes), begun=True, **options)
    assert "\n" not in str(error.value)
    assert str(state / "recovery") in str(error.value)
    assert before == (file(state).read_bytes() if file(state).exists() else b""), "something changed"
    return str(error.value)


def test_a_store_of_good_states_is_opened_and_stays_as_it_is(tmp_path: Path) -> None:
    before = rows(made(tmp_path))
    every: list[dict[str, Any]] = [{}, {"old": True}, {"unsealed": True}, {"stopped": digest(tmp_path)}]
    for options in every:
        assert open_store(tmp_path, Keeping(ANYONE), begun=True, **options) == tmp_path / "recovery"
    assert rows(tmp_path) == before


def test_a_row_that_runs_code_is_refused_by_file_step_and_key_and_runs_none(tmp_path: Path) -> None:
    inside = pickle.dumps(Makes(tmp_path / "made"), 4)
    insert(made(tmp_path), "flow.groups", "a key", inside)
    assert refused(tmp_path).startswith(f"{file(tmp_path)}, step 'groups', key 'a key': ")
    assert "mkdir" in refused(tmp_path, old=True)
    change(tmp_path, "UPDATE snaps SET ser_change = ? WHERE step_id = 'flow.groups'", pickle.dumps(inside, 4))
    assert refused(tmp_path).startswith(f"{file(tmp_path)}, step 'groups', key 'a key': ")
    assert "mkdir" in refused(tmp_path, old=True)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("old", [False, True])
def test_states_of_two_keys_that_were_swapped_are_refused(old: bool, tmp_path: Path) -> None:  # noqa: FBT001
    made(tmp_path)
    for key, other in (("0", "1"), ("1", "0")):
        change(tmp_path, "UPDATE snaps SET ser_change = ? WHERE state_key = ?", envelope("join", other), key)
    assert "must hold the state of join/0; it holds join/1" in refused(tmp_path, old=old)


def test_a_state_of_another_step_is_refused(tmp_path: Path) -> None:
    insert(made(tmp_path), "flow.groups", "0", envelope("join", "0"))
    assert "must hold the state of groups/0; it holds join/0" in refused(tmp_path)


def test_a_flipped_bit_in_a_state_is_refused(tmp_path: Path) -> None:
    good = bytearray(rows(made(tmp_path))[0][3])
    for at in (0, 2, 11, 30, len(good) // 2, len(good) - 4):
        flipped = good.copy()
        flipped[at] ^= 4
        change(tmp_path, "UPDATE snaps SET ser_change = ? WHERE state_key = '0'", bytes(flipped))
        assert "step 'join', key '0'" in refused(tmp_path)


@pytest.mark.parametrize("content", [{"version": 2}, pickle.dumps({"version": 2}), None, b""], ids=repr)
def test_an_old_pickle_is_refused_without_leave(content: Any, tmp_path: Path) -> None:
    insert(made(tmp_path), "flow.groups", "groups", pickle.dumps(content, 4))
    assert "step 'groups', key 'groups'" in refused(tmp_path)


def test_old_states_are_put_into_envelopes_with_all_that_was_in_them(tmp_path: Path) -> None:
    open_store(made_old(tmp_path), Keeping(ANYONE), begun=True, old=True)
    open_store(tmp_path, Keeping(ANYONE), begun=True)
    found = {(step, key): pickle.loads(stored) for step, key, _, stored in rows(tmp_path) if stored is not None}
    join, lanes, sink, drift = (ANYONE.read(found[place], place[0][5:], place[1]) for place in OLD)
    assert [one.version for one in (join, lanes, sink, drift)] == [2, 1, 1, 2]
    calls = join.open(2)
    assert (calls.pop("calls").tolist(), calls) == ([0, 1, 2], {"seen": (1, 3)})
    assert lanes.open(1) == (7, None)
    assert sink.open(1) == {"cells": {"sums": (1, 2)}, "epoch": 4}
    assert drift.open(2) == {
        "opinion": {"river": None, "windows": (("group", (1, 2, None)),)},
        "numeric": {"river": None, "series": (("key", (0, 1.5)),)},
    }


def test_to_upgrade_a_second_time_changes_nothing(tmp_path: Path) -> None:
    open_store(made_old(tmp_path), Keeping(KEYED), begun=True, old=True)
    once = rows(tmp_path)
    assert ("flow.join", "2", 1, None) in once, "a deletion stays one"
    open_store(tmp_path, Keeping(KEYED), begun=True, old=True)
    open_store(tmp_path, Keeping(KEYED), begun=True)
    assert rows(tmp_path) == once


@pytest.mark.parametrize(
    ("step", "content"),
    [("join", {"version": "two"}), ("join", {"version": 2, "complex": 1j}), ("join", {"version": 2, "long": 2**70}),
     ("join", {"version": 2, "dtype": np.dtype("i4")}), ("join", b"no pickle"), ("drift", {"numeric": {}}),
     ("drift", pickle.dumps({"opinion": (), "numeric": {}})), ("snapshot_out", {"version": 1}),
     ("snapshot_out", {"version": 1, "cells": b"no pickle"}), ("snapshot_out", {"version": 1, "cells": 7})],
    ids=lambda part: "" if isinstance(part, str) else repr(part)[:40],
)  # fmt: skip
def test_one_bad_state_in_an_old_store_is_a_sentence_and_nothing_changes(
    step: str, content: Any, tmp_path: Path
) -> None:
    insert(made_old(tmp_path), f"flow.{step}", "bad", pickle.dumps(content, 4), 9)
    assert f"{file(tmp_path)}, step {step!r}, key 'bad': " in refused(tmp_path, old=True)


def test_one_damaged_envelope_among_old_states_is_a_sentence_and_nothing_changes(tmp_path: Path) -> None:
    insert(made_old(tmp_path), "flow.join", "9", envelope("join", "8"))
    assert "must hold the state of join/9" in refused(tmp_path, old=True)


def test_an_unsealed_state_is_sealed_only_with_leave(tmp_path: Path) -> None:
    assert "--accept-unsealed-state" in refused(made(tmp_path), KEYED)
    open_store(tmp_path, Keeping(KEYED), begun=True, unsealed=True)
    open_store(tmp_path, Keeping(KEYED), begun=True)
    assert KEYED.unpack(pickle.loads(rows(tmp_path)[0][3]), "join", 2, key="0") == {"key": "0"}
    assert "service.state_key_file" in refused(tmp_path)
    assert "another key" in refused(tmp_path, Envelopes(b"t" * 32))


def test_leave_to_seal_is_no_leave_for_a_damaged_state_or_another_key(tmp_path: Path) -> None:
    insert(made(tmp_path), "flow.join", "3", envelope("join", "4"))
    assert "must hold the state of join/3" in refused(tmp_path, KEYED, unsealed=True)
    other = envelope("join", "3", envelopes=Envelopes(b"t" * 32))
    change(tmp_path, "UPDATE snaps SET ser_change = ? WHERE state_key = '3'", other)
    refused(tmp_path, KEYED, unsealed=True)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE parts SET part_count = 2", "UPDATE exs SET resume_epoch = 3",
     "INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (1, 1, 2)",
     "INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (0, 0, 2)",
     "INSERT INTO commits (part_index, commit_epoch) VALUES (0, 1)",
     "UPDATE snaps SET snap_epoch = 0 WHERE state_key = '0'", "UPDATE snaps SET step_id = 'other.join'",
     "UPDATE snaps SET ser_change = NULL WHERE state_key = '0'", "DELETE FROM snaps WHERE state_key = '2'"],
)  # fmt: skip
def test_a_change_since_the_stop_is_refused(statement: str, tmp_path: Path) -> None:
    stopped = digest(made(tmp_path))
    open_store(tmp_path, Keeping(ANYONE), begun=True, stopped=stopped)
    assert digest(tmp_path) == stopped
    change(tmp_path, statement)
    assert digest(tmp_path) != stopped
    assert "as it was when the run was stopped" in refused(tmp_path, stopped=stopped)


def test_a_row_that_was_moved_to_another_table_changes_the_digest(tmp_path: Path) -> None:
    stopped = digest(made(tmp_path))
    change(tmp_path, "DELETE FROM exs")
    change(tmp_path, "INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (0, 1, 1)")
    assert digest(tmp_path) != stopped


def test_a_new_run_makes_a_store_and_one_that_has_begun_does_not(tmp_path: Path) -> None:
    (tmp_path / "recovery.draft" / "left by a kill").mkdir(parents=True)
    assert "it is gone" in refused(tmp_path, kind=RunError)
    assert open_store(tmp_path, Keeping(ANYONE), begun=False) == tmp_path / "recovery"
    assert [path.name for path in tmp_path.iterdir()] == ["recovery"]
    assert rows(tmp_path) == []


def test_a_folder_without_the_store_is_refused_once_the_run_has_begun(tmp_path: Path) -> None:
    file(made(tmp_path)).unlink()
    refused(tmp_path, kind=RunError)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(("begins", "goes_on"), [(0, b""), (5000, b""), (4096, b"\xff" * 9999), (0, b"text\n" * 999)])
def test_a_damaged_file_is_one_sentence(begins: int, goes_on: bytes, old: bool, tmp_path: Path) -> None:  # noqa: FBT001
    data = file(made(tmp_path)).read_bytes()
    file(tmp_path).write_bytes(data[:begins] + goes_on)
    refused(tmp_path, kind=RunError, old=old)


@pytest.mark.parametrize(
    ("workers", "ended", "goes_on_at"),
    [(1, {}, 3), (1, {0: 7}, 7), (2, {0: 7, 1: 6}, 6), (2, {1: 6}, 3)],
    ids=["no epoch ended", "one worker", "two workers", "one of two has ended none"],
)
def test_states_of_epochs_that_never_ended_are_dropped(
    workers: int, ended: dict[int, int], goes_on_at: int, tmp_path: Path
) -> None:
    """Bytewax would load them two kills later: it asks only for states before the epoch with which it goes on then."""
    open_store(tmp_path, Keeping(ANYONE), begun=False)
    for run, began in ((0, 1), (1, 3)):
        numbers = (run, workers, began)
        change(tmp_path, "INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (?, ?, ?)", *numbers)
    change(tmp_path, "INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (0, 0, 9)")
    for worker, epoch in ended.items():
        values = (1, worker, epoch)
        change(tmp_path, "INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (?, ?, ?)", *values)
    for epoch in range(1, 9):
        insert(tmp_path, "flow.join", "0", envelope("join", "0", epoch), epoch)
    open_store(tmp_path, Keeping(ANYONE), begun=True)
    assert [epoch for _, _, epoch, _ in rows(tmp_path)] == list(range(1, goes_on_at))
