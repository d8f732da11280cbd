"""Requests to erase calls and the receipts for them: files in `<out>/state/erase`.

A request is on disk before anybody acts on it and is removed only after its receipt is, so that whoever dies in
between, the next one does it again; doing it twice is doing it once. Receipts hold counts and no ids.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from connectors.batch import Erase
from connectors.fsync import sync

FOLDER: Final = "erase"
_REQUEST: Final = ".request.json"
_RECEIPT: Final = ".receipt.json"
_UNSCRUBBED: Final = "unscrubbed"
_LOOK_EVERY_S: Final = 1.0


class Erasures:
    """The folder of requests and receipts; several processes may use it at once."""

    def __init__(self, state: Path) -> None:
        """`state`: the folder of a run's state; nothing is made before the first request."""
        self.folder = state / FOLDER

    def submit(self, call_ids: Iterable[str]) -> Erase:
        """Write a request; it survives a power cut once this returns."""
        request = Erase(f"{time.time_ns():020d}-{secrets.token_hex(4)}", tuple(dict.fromkeys(call_ids)))
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._write(request.request + _REQUEST, {"call_ids": request.call_ids})
        sync(self.folder.parent)
        return request

    def pending(self) -> list[Erase]:
        """Requests without a receipt, the oldest first; what somebody died over after the receipt is removed."""
        if not self.folder.exists():
            return []
        found = []
        for path in sorted(self.folder.glob(f"*{_REQUEST}")):
            name = path.name.removesuffix(_REQUEST)
            if self.receipt(name) is not None:
                path.unlink(missing_ok=True)
                continue
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:  # done just now
                continue
            found.append(Erase(name, tuple(kept["call_ids"])))
        return found

    def finish(self, request: str, counts: dict[str, Any]) -> None:
        """The calls are gone from the state and all snapshots, and an epoch without them is stored."""
        (self.folder / _UNSCRUBBED).touch()
        self._write(request + _RECEIPT, counts)
        (self.folder / (request + _REQUEST)).unlink(missing_ok=True)
        sync(self.folder)

    def receipt(self, request: str) -> dict[str, Any] | None:
        """What was removed; None as long as the request is not done."""
        try:
            found: dict[str, Any] = json.loads((self.folder / (request + _RECEIPT)).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found

    @property
    def unscrubbed(self) -> bool:
        """Whether free pages of the recovery store may still hold what was erased (`recovery_pages.py`)."""
        return (self.folder / _UNSCRUBBED).exists()

    def scrubbed(self) -> None:
        """They do not any more."""
        (self.folder / _UNSCRUBBED).unlink(missing_ok=True)

    def inbox(self, monotonic: Callable[[], float] = time.monotonic) -> Callable[[], tuple[Erase, ...]]:
        """A function that gives each pending request once; it looks once a second, and costs nothing in between."""
        given, next_s = set[str](), monotonic()

        def look() -> tuple[Erase, ...]:
            nonlocal next_s
            now = monotonic()
            if now < next_s:
                return ()
            next_s = now + _LOOK_EVERY_S
            new = tuple(one for one in self.pending() if one.request not in given)
            given.update(one.request for one in new)
            return new

        return look

    def _write(self, name: str, content: dict[str, Any]) -> None:
        draft = self.folder / f".{name}"
        with draft.open("w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / name)
        sync(self.folder)
