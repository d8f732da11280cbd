"""Sessions before the ledgers: what becomes of calls and outcomes, by call id and by session (decision 0023)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oracle.names import counted, spelled
from oracle.records import Call, Outcome, Rules
from oracle.replay import Oracle
from oracle.session import Said, Statement
from oracle.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Iterable


Record = Call | Outcome | Said


class SessionOracle:
    """Feeds on records in reading order, each with the watermark in force before it."""

    def __init__(self, rules: Rules) -> None:
        """Start with nothing held."""
        self.rules = rules
        self.ledgers = Oracle(rules)
        self.sessions = Sessions(rules)
        self.dropped = 0
        """Statements whose call is not held in their session."""
        self._said = 0

    def feed(self, record: Record, wm: int) -> None:
        """Take the next record; `wm` is the watermark before it."""
        # What is due leaves the sessions before anything closes.
        self._enter(self.sessions.advance(wm))
        if isinstance(record, Said):
            self._said += 1
            self._enter(self.sessions.outcome(named(record, self.rules)))
            return
        self.ledgers.feed(record, wm)
        read = spelled(record, self.rules)
        if isinstance(read, Call) and read.session_id is not None:
            self._enter(self.sessions.call(counted(read, self.rules)))

    def finish(self, wm: int, *, ended: bool = True) -> None:
        """Everything has been read."""
        self._enter(self.sessions.advance(wm, ended=ended))
        self.ledgers.finish(wm)

    def _enter(self, statements: Iterable[Statement]) -> None:
        for session_id, outcome, minute, passed in statements:
            held = self.ledgers.open_call(outcome.call_id, passed)
            if held is None or held.call.session_id != session_id or outcome.at > held.last_instant:
                self.dropped += 1
            else:
                self.ledgers.enter(held, outcome, minute)

    def counters(self) -> dict[str, int]:
        """Those of the table `pipeline`, and those of sessions."""
        ledgers, sessions = self.ledgers.counters(), self.sessions.counts
        by_session = sum(row["outcome_id"].startswith("session:") for row in self.ledgers.statements_rows())
        reasons = Counter(refused.reason for refused in self.sessions.refused)
        return ledgers | {
            "records": ledgers["records"] + self._said,
            "outcomes": ledgers["outcomes"] - by_session + sessions["outcomes"],
            "duplicates": ledgers["duplicates"] + sessions["duplicates"],
            "waiting": ledgers["waiting"] + len(self.sessions.waiting()),
            "orphans": ledgers["orphans"] + reasons["orphan"],
            "late": ledgers["late"] + reasons["late"],
            "conflicts": ledgers["conflicts"] + reasons["conflict"],
            "dead_letters": ledgers["dead_letters"] + len(self.sessions.refused),
            "session_late": sessions["session_late"] + self.dropped,
            "session_cut": sessions["session_cut"],
        }

    def dead(self) -> list[tuple[Any, ...]]:
        """The dead letters of both, in an order of their own."""
        of_sessions = [(one.reason, one.said.session_id, one.said.outcome.outcome_id) for one in self.sessions.refused]
        return sorted([tuple(map(str, one)) for one in [*self.ledgers.dead(), *of_sessions]])


def named(said: Said, rules: Rules) -> Said:
    """The outcome with its ids in the form in which they are read."""
    outcome = spelled(said.outcome, rules)
    assert isinstance(outcome, Outcome), "an outcome stays one"
    return replace(said, outcome=outcome)
