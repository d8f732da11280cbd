"""Brings events from the queue into the spool: builds, validates, encodes and stores them, in batches."""

from __future__ import annotations

from typing import Any, NamedTuple

from aftercall.emitter.encoding import InvalidEventError, encode
from aftercall.emitter.limits import BATCH_BYTES, BATCH_EVENTS
from aftercall.emitter.log import warn_invalid, warn_once
from aftercall.emitter.queue import Item, Queue, is_ready
from aftercall.emitter.store import Store
from aftercall.emitter.tally import Loss, Tally
from aftercall.transports.transport import Message


class _Encoded(NamedTuple):
    """A message, the size with which its event counts against the queue, and how many drops it reports."""

    message: Message
    size: int
    reported: int


class Intake:
    """Any thread may call it, several at once too: each works on a batch of its own."""

    def __init__(self, queue: Queue, store: Store, tally: Tally, most_bytes: int) -> None:
        self._queue, self._store, self._tally = queue, store, tally
        self._most_bytes = most_bytes
        """Of one record."""

    def take_in(self, *, unripe_too: bool = False) -> bool:
        """Store one batch, unless there is none. Each event of it ends in the spool, or is counted as dropped.

        One that is not ready is put aside, and taken in once it is; with `unripe_too` all are built now.
        """
        batch = self._queue.take_ripe(BATCH_EVENTS, unripe_too=unripe_too) or self._queue.take(BATCH_EVENTS)
        if batch is None:
            return False
        left = list(zip(batch.ordinals, batch.items, strict=True))
        try:
            encoded: list[_Encoded] = []
            size = 0
            while left:
                if not (unripe_too or is_ready(left[0][1])):
                    self._queue.put_aside(*left[0])
                elif (one := self._encoded(left[0][1])) is not None:
                    encoded.append(one)
                    size += one.message.size
                left.pop(0)
                if size >= BATCH_BYTES or not left:
                    self._stored(encoded)
                    encoded, size = [], 0
        finally:
            for _, item in left:  # an interrupt in the middle of it, such as ctrl-C at the end of a program
                self._lose("internal", item.size)
            self._queue.done(batch)
        return True

    def take_in_one(self, item: Item) -> None:
        """Store one that was admitted without waiting in the queue; it is safe once this returns."""
        if (one := self._encoded(item)) is not None:
            self._stored([one])

    def _encoded(self, item: Item) -> _Encoded | None:
        """The message; or None, and the event is accounted for."""
        try:
            event = item.build()
        except Exception as wrong:  # noqa: BLE001  # the user's objects and functions may raise anything
            self._invalid(item, f"{item.kind}: {type(wrong).__name__} while it was read")
            return None
        if event is None:
            self._tally.skip()
            self._tally.free(1, item.size)
            return None
        return self._message(item, event)

    def _message(self, item: Item, event: dict[str, Any]) -> _Encoded | None:
        report = self._tally.take_unreported() if item.kind == "calls" else 0
        try:
            value = encode(item.kind, event, report)
        except InvalidEventError as wrong:
            self._tally.give_back(report)
            self._invalid(item, wrong.rule)
            return None
        except Exception as wrong:  # noqa: BLE001  # a defect of ours, or an object that is no plain value
            self._tally.give_back(report)
            self._invalid(item, f"{item.kind}: {type(wrong).__name__} while it was encoded")
            return None
        if len(value) > self._most_bytes:
            self._tally.give_back(report)
            warn_once(f"too large {item.kind}", "aftercall: an event of %d bytes is too large and dropped", len(value))
            self._lose("too_large", item.size)
            return None
        return _Encoded(Message(item.kind, item.key, value), item.size, report)

    def _invalid(self, item: Item, why: str) -> None:
        warn_invalid(why, item.place)
        self._lose("invalid", item.size)

    def _lose(self, reason: Loss, size: int) -> None:
        self._tally.drop(reason, 1, "waiting")
        self._tally.free(1, size)

    def _stored(self, encoded: list[_Encoded]) -> None:
        if not encoded:
            return
        with self._store.guard:
            kept, place = self._store.append([one.message for one in encoded])
            self._tally.move("waiting", place, kept)
        for one in encoded[:kept]:
            self._tally.free(*((1, one.size) if place == "spooled" else (0, one.size - one.message.size)))
        for one in encoded[kept:]:
            self._tally.give_back(one.reported)
            self._lose("spool_full", one.size)
