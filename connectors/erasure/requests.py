"""Stores requests to erase calls, and their receipts, as files in `<out>/state/erase`.

A request is on disk before a process acts on it, and is removed only after its receipt is on disk: if the process dies
in between, the next one repeats the request, and repeating it changes nothing. Receipts hold counts and no ids. Both
have a checksum, so that damage erases no other call.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from xxhash import xxh3_128_hexdigest

from aftercall.errors import StateError
from connectors.batch import Erase
from connectors.fsync import sync
from connectors.own_files import open_draft, open_own

FOLDER: Final = "erase"
_REQUEST: Final = ".request.json"
_RECEIPT: Final = ".receipt.json"
_UNSCRUBBED: Final = "unscrubbed"
_CHECKSUM: Final = "checksum"
_LOOK_EVERY_S: Final = 1.0


class Erasures:
    """The folder of requests and receipts; several processes may use it at once."""

    def __init__(self, state: Path) -> None:
        """`state`: the folder of a run's state; nothing is created before the first request."""
        self.folder = state / FOLDER

    def submit(self, call_ids: Iterable[str], sessions: Iterable[str] = ()) -> Erase:
        """Write a request; it survives a power cut once this returns."""
        request = Erase(
            f"{time.time_ns():020d}-{secrets.token_hex(4)}",
            *(tuple(dict.fromkeys(ids)) for ids in (call_ids, sessions)),
        )
        named = {"sessions": request.sessions} if request.sessions else {}
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._write(request.request + _REQUEST, {"call_ids": request.call_ids} | named)
        sync(self.folder.parent)
        return request

    def pending(self) -> list[Erase]:
        """Requests without a receipt, oldest first; removes a request whose process died after the receipt.

        Raises:
            StateError: one is damaged.
        """
        if not self.folder.exists():
            return []
        requests = []
        for path in sorted(self.folder.glob(f"*{_REQUEST}")):
            name = path.name.removesuffix(_REQUEST)
            if self.receipt(name) is not None:
                path.unlink(missing_ok=True)
                continue
            content = _read(path)
            if content is not None:  # else another process finished it just now
                requests.append(Erase(name, tuple(content["call_ids"]), tuple(content.get("sessions", ()))))
        return requests

    def finish(self, request: str, counts: dict[str, Any]) -> None:
        """Write the receipt and remove the request.

        To be called once the calls are gone from the state and all snapshots, and an epoch without them is stored.
        """
        open_own(self.folder / _UNSCRUBBED, "a").close()
        self._write(request + _RECEIPT, counts)
        (self.folder / (request + _REQUEST)).unlink(missing_ok=True)
        sync(self.folder)

    def receipt(self, request: str) -> dict[str, Any] | None:
        """The counts of what was removed; None until the request is done.

        Raises:
            StateError: the receipt is damaged.
        """
        return _read(self.folder / (request + _RECEIPT))

    @property
    def unscrubbed(self) -> bool:
        """Whether free pages of the recovery store may still hold what was erased (`recovery_pages.py`)."""
        return (self.folder / _UNSCRUBBED).exists()

    def scrubbed(self) -> None:
        """Record that the free pages hold nothing erased any more."""
        (self.folder / _UNSCRUBBED).unlink(missing_ok=True)

    def inbox(self, monotonic: Callable[[], float] = time.monotonic) -> Callable[[], tuple[Erase, ...]]:
        """A function that returns each pending request once; it reads the folder at most once a second."""
        returned, next_s = set[str](), monotonic()

        def look() -> tuple[Erase, ...]:
            nonlocal next_s
            now = monotonic()
            if now < next_s:
                return ()
            next_s = now + _LOOK_EVERY_S
            new = tuple(erase for erase in self.pending() if erase.request not in returned)
            returned.update(erase.request for erase in new)
            return new

        return look

    def _write(self, name: str, content: dict[str, Any]) -> None:
        draft = self.folder / f".{name}"
        with open_draft(draft) as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(content | {_CHECKSUM: _checksum(content)}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / name)
        sync(self.folder)


def _read(path: Path) -> dict[str, Any] | None:
    """What is in a request or receipt; None where it is gone. Those of earlier versions have no checksum.

    Raises:
        StateError: it is not as it was written.
    """
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
        whole = content.pop(_CHECKSUM, None) in {None, _checksum(content)}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        whole = False
    if not whole or (path.name.endswith(_REQUEST) and "call_ids" not in content):
        raise StateError(
            f"{path}: must be as `aftercall erase` wrote it; it is damaged (delete it, and give the command again)"
        )
    return content


def _checksum(content: dict[str, Any]) -> str:
    return xxh3_128_hexdigest(json.dumps(content, sort_keys=True).encode())
