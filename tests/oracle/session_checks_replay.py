"""Calls, their sessions and the rules over these, in the oracle: what is found counts where the call is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oracle.held import Check
from oracle.names import counted, spelled
from oracle.order import watermarks
from oracle.records import Call
from oracle.replay import Oracle
from oracle.session_checks import SessionChecks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oracle.histories import History
    from oracle.records import Record, Rules
    from oracle.session_checks import Found


class CheckingOracle:
    """Feeds on records in reading order, each with the watermark in force before it."""

    def __init__(self, rules: Rules) -> None:
        """Start with nothing held."""
        self.rules = rules
        self.ledgers = Oracle(rules)
        self.sessions = SessionChecks(rules)
        self.dropped = 0
        """Results of calls that are not held in their session."""

    def feed(self, record: Record, wm: int) -> None:
        """Take the next record; `wm` is the watermark before it."""
        self._enter(self.sessions.advance(wm))
        self.ledgers.feed(record, wm)
        read = spelled(record, self.rules)
        if isinstance(read, Call) and read.session_id is not None:
            self._enter(self.sessions.call(counted(read, self.rules)))

    def finish(self, wm: int) -> None:
        """Everything has been read."""
        self._enter(self.sessions.advance(wm))
        self._enter(self.sessions.advance(wm, ended=True))
        self.ledgers.finish(wm)

    def _enter(self, found: Iterable[Found]) -> None:
        for one in found:
            held = self.ledgers.open_call(one.call.call_id, one.passed)
            if held is None:
                self.dropped += 1
            else:
                held.check(one.call, one.key, Check(one.result, one.minute))


def replayed_checks(history: History, *, merged: bool) -> CheckingOracle:
    """The oracle after a whole replay."""
    oracle, order = CheckingOracle(history.rules), history.order(merged=merged)
    before, last = watermarks(order, len(history.files))
    for read, watermark in zip(order, before, strict=True):
        oracle.feed(read.record, watermark)
    oracle.finish(last)
    return oracle
