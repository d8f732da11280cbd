"""Brings events from the spools to the transport, and deletes them once they are acknowledged."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from aftercall.emitter.limits import BATCH_BYTES, BATCH_EVENTS, FLIGHT_BYTES, FLIGHT_EVENTS
from aftercall.emitter.log import warn_once
from aftercall.emitter.spool import Row
from aftercall.emitter.store import SpoolReader, Store
from aftercall.emitter.tally import Tally
from aftercall.transports.transport import Message, Receipt, Transport, UnavailableError

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_LONGEST_ADVICE_S = 300.0


class _Out(NamedTuple):
    """Where a message that was handed over came from."""

    source: SpoolReader
    number: int
    size: int


class Delivery:
    """One thread at a time calls it. `guard` of the store is held while files are used, never while it waits."""

    def __init__(self, make: Callable[[], Transport], store: Store, tally: Tally) -> None:
        self._make, self._store, self._tally = make, store, tally
        self.transport: Transport | None = None
        self._opened = False
        self._flight: dict[int, _Out] = {}
        self._flight_bytes = 0
        self._number = 0
        self._pauses = 0
        self.not_before = 0.0
        """On the monotonic clock; until then nothing is offered."""

    @property
    def in_flight(self) -> int:
        """How many wait for their receipts."""
        return len(self._flight)

    def prepare(self) -> None:
        """Make the transport, and look for what other processes left for it."""
        if self.transport is None:
            self.transport = self._make()
            self._store.settle_in(self.transport.destination)
            self._store.adopt()

    def pump(self, wait_s: float) -> bool:
        """Offer what there is and has room, and settle receipts; wait at most so long for one. Whether it got on."""
        if time.monotonic() < self.not_before:
            return False
        try:
            transport = self._ready()
            moved = self._offer_all(transport)
            receipts = transport.receipts(0.0 if moved or not self._flight else wait_s)
        except UnavailableError as wrong:
            warn_once(f"unavailable {wrong}", "aftercall: events wait in the spool: %s", wrong)
            self._pause(wrong.retry_after_s)
            return False
        except Exception as wrong:  # noqa: BLE001  # a transport may raise anything, and nothing of it reaches the agent
            warn_once(f"transport {_name(wrong)}", "aftercall: the transport failed (%s), events wait", _name(wrong))
            self.reset(0.0)
            self._pause(None)
            return False
        with self._store.guard:
            return self._settle(receipts) or moved

    def _ready(self) -> Transport:
        with self._store.guard:  # it imports libraries: no fork may happen meanwhile
            self.prepare()
            assert self.transport is not None  # noqa: S101  # by prepare
            if not self._opened:
                self.transport.open()
                self._opened = True
            return self.transport

    def _offer_all(self, transport: Transport) -> bool:
        moved = False
        for source in self._store.sources():
            while self._flight_bytes < FLIGHT_BYTES and (room := FLIGHT_EVENTS - len(self._flight)) > 0:
                before = source.cursor
                rows = self._store.read(source, min(room, BATCH_EVENTS), BATCH_BYTES)
                if source.cursor == before:
                    break
                if rows and not self._offered(transport, source, rows):
                    return moved
                moved = moved or bool(rows)
        return moved

    def _offered(self, transport: Transport, source: SpoolReader, rows: list[Row]) -> bool:
        """Whether all were accepted; of the others the cursor is set back."""
        numbered = [(self._number + place, row.message) for place, row in enumerate(rows, 1)]
        self._number += len(rows)
        accepted = 0
        try:
            accepted = max(0, min(int(transport.offer(numbered)), len(rows)))
        finally:
            self._handed(source, list(zip(numbered, rows, strict=True))[:accepted], rows)
        return accepted == len(rows)

    def _handed(self, source: SpoolReader, accepted: list[tuple[tuple[int, Message], Row]], rows: list[Row]) -> None:
        with self._store.guard:
            if source.gone:  # what was read of it is counted as lost
                return
            for (number, message), row in accepted:
                self._flight[number] = _Out(source, row.number, message.size)
                self._flight_bytes += message.size
                source.out.add(row.number)
            self._tally.move(source.place, "handed", len(accepted))
            if len(accepted) < len(rows):
                source.cursor = min(source.cursor, rows[len(accepted)].number - 1)

    def _settle(self, receipts: Iterable[Receipt]) -> bool:
        got_on = False
        touched: list[SpoolReader] = []
        for receipt in receipts:
            if (out := self._flight.pop(receipt.number, None)) is None:
                continue
            self._flight_bytes -= out.size
            out.source.out.discard(out.number)
            touched.append(out.source)
            if receipt.answer == "failed":
                warn_once(f"failed {receipt.reason}", "aftercall: events wait in the spool: %s", receipt.reason)
                self._back(out)
                self._pause(None)
                continue
            got_on = True
            self._pauses = 0
            self._done(out, receipt)
        for source in dict.fromkeys(touched):
            self._store.delete_settled(source)
        self._store.release_empty()
        return got_on

    def _done(self, out: _Out, receipt: Receipt) -> None:
        if receipt.answer == "refused":
            warn_once(f"refused {receipt.reason}", "aftercall: events are refused and dropped: %s", receipt.reason)
            self._tally.drop("refused_by_broker", 1, "handed")
        else:
            self._tally.acknowledge(1)
        if out.source.place == "held":
            self._tally.free(1, out.size)
        out.source.settled.append(out.number)

    def _back(self, out: _Out) -> None:
        if out.source.gone:
            self._tally.drop("damaged_spool", 1, "handed")
            return
        self._tally.move("handed", out.source.place, 1)
        out.source.cursor = min(out.source.cursor, out.number - 1)

    def _pause(self, advice_s: float | None) -> None:
        """Each time longer, and spread, so that the processes of a service do not come back together."""
        if time.monotonic() < self.not_before:
            return
        self._pauses += 1
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self._pauses, 10))
        pause = longest * (256 + os.urandom(1)[0]) / 512
        self.not_before = time.monotonic() + max(pause, min(advice_s or 0.0, _LONGEST_ADVICE_S))

    def reset(self, timeout_s: float) -> None:
        """Close the transport; what it had not acknowledged is in the spools, and sent again later."""
        if self.transport is not None and self._opened:
            self._opened = False
            try:
                self.transport.close(timeout_s)
            except Exception as wrong:  # noqa: BLE001  # as above
                warn_once("close transport", "aftercall: the transport could not be closed: %s", _name(wrong))
        flight, self._flight, self._flight_bytes = self._flight, {}, 0
        for out in flight.values():
            out.source.out.discard(out.number)
            self._back(out)


def _name(wrong: Exception) -> str:
    """The class alone: texts may quote events."""
    return type(wrong).__name__
