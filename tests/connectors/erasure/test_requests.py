"""Requests to erase outlive every process, and are for their owner alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aftercall.errors import StateError
from connectors.erasure.requests import Erasures


def test_a_request_is_pending_until_its_receipt_and_is_given_once_to_a_process(tmp_path: Path) -> None:
    """A process that restarts is given it again."""
    erasures, now = Erasures(tmp_path), [0.0]
    assert erasures.pending() == []
    look = erasures.inbox(lambda: now[0])
    request = erasures.submit(["a", "b", "a"])
    assert request.call_ids == ("a", "b")
    assert look() == (request,)
    now[0] += 5
    assert look() == ()
    assert erasures.inbox(lambda: now[0])() == (request,)
    assert erasures.receipt(request.request) is None
    erasures.finish(request.request, {"removed": {}})
    assert erasures.pending() == []
    assert erasures.receipt(request.request) == {"removed": {}}
    assert erasures.unscrubbed


def test_a_death_between_receipt_and_removal_leaves_the_request_done(tmp_path: Path) -> None:
    """Its file, which holds the ids, goes at the next look."""
    erasures = Erasures(tmp_path)
    request = erasures.submit(["gone-id"])
    kept = (erasures.folder / f"{request.request}.request.json").read_bytes()
    erasures.finish(request.request, {})
    (erasures.folder / f"{request.request}.request.json").write_bytes(kept)
    assert erasures.pending() == []
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and b"gone-id" in path.read_bytes()] == []


def test_requests_are_for_their_owner_alone(tmp_path: Path) -> None:
    erasures = Erasures(tmp_path)
    erasures.submit(["a"])
    assert erasures.folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in erasures.folder.iterdir())


def test_every_bit_that_flips_in_a_request_is_found_or_changes_nothing(tmp_path: Path) -> None:
    erasures = Erasures(tmp_path)
    request = erasures.submit(["a-1"])
    file = erasures.folder / f"{request.request}.request.json"
    data, found = file.read_bytes(), list[str]()
    for bit in range(8 * len(data)):
        file.write_bytes(data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :])
        try:
            assert erasures.pending() == [request]
        except StateError as error:
            found.append(str(error).partition("; ")[0])
    assert set(found) == {f"{file}: must be as `aftercall erase` wrote it"}
    assert len(found) > 7 * len(data), "a flip in the name of the checksum takes it away"
    for end in range(len(data)):
        file.write_bytes(data[:end])
        with pytest.raises(StateError, match="damaged"):
            erasures.pending()


def test_a_request_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    erasures = Erasures(tmp_path)
    request = erasures.submit(["a", "b"])
    (erasures.folder / f"{request.request}.request.json").write_text(json.dumps({"call_ids": ["a", "b"]}))
    assert erasures.pending() == [request]
