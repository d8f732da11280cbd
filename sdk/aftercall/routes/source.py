"""Defines what a source of recommendations is, for the three here and a user's own."""

from __future__ import annotations

from typing import Protocol

from aftercall.routes.table import Table


class Reader(Protocol):
    """A source that is open; one thread uses it."""

    def poll(self, table: Table, timeout_s: float) -> str | None:
        """Bring what is new into the table, and return within about `timeout_s`.

        Calls `table.complete_now` once the source was read to its end. What it raises is logged, the reader closed and
        the source opened again a second later; the table keeps what it has.

        Returns:
            What is wrong at present, in a sentence that is logged once; None: nothing.
        """

    def close(self) -> None:
        """Release what it holds."""


class RecommendationSource(Protocol):
    """Where recommendations come from."""

    def open(self) -> Reader:
        """Open it, on the thread that reads, and again in a forked child; raises as `Reader.poll`."""
