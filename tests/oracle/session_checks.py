"""What rules over sessions make of calls: when each is judged, and what is found (decision 0047).

Slow and obvious: a session is a list of its judged calls, which every rule reads from its beginning.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from oracle.contracts import in_force
from oracle.records import MINUTE_US, NEVER, Call, Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oracle.contracts import Key


@dataclass(frozen=True)
class OracleSessionRule:
    """One rule over sessions. `kind`: "usd", "calls" or "tokens" of a budget, "again" or "failures"."""

    id: str
    kind: str
    bound: int
    """Of a budget, of failures; minutes in which a request must not come again."""
    tier: str | None = None

    def content(self) -> dict[str, Any]:
        """As a file has it."""
        named: dict[str, dict[str, Any]] = {
            "again": {"type": "repeated_request", "within": f"{self.bound}m"},
            "failures": {"type": "escalate_after", "failures": self.bound, "tools": ["handoff"]},
        }
        taken = named.get(self.kind, {"type": "session_budget", self.kind: self.bound})
        when: dict[str, Any] = {"when": {"attrs.tier": self.tier}} if self.tier else {}
        return {"id": self.id, "severity": "major", **taken, **when}

    def result(self, calls: Sequence[Seen]) -> str:
        """What it finds in the last of some calls of a session, which are in the order in which they were judged."""
        last = calls[-1]
        if self.tier is not None and (last.call.attrs or {}).get("tier") != self.tier:
            return "not_applicable"
        if self.kind == "again":
            return self._again(calls)
        if self.kind == "failures":
            since = max((place for place, seen in enumerate(calls) if seen.escalated), default=-1) + 1
            return "fail" if sum(seen.failed for seen in calls[since:]) >= self.bound else "pass"
        values = [seen.value(self.kind) for seen in calls]
        if sum(value or 0 for value in values) > self.bound:
            return "fail"
        return "not_applicable" if values[-1] is None else "pass"

    def _again(self, calls: Sequence[Seen]) -> str:
        within = self.bound * MINUTE_US
        if calls[-1].request is None:
            return "not_applicable"
        known: list[Seen] = []
        for seen in [one for one in calls[:-1] if one.request is not None]:
            known = [one for one in [*known, seen] if one.call.at >= seen.call.at - within]
        newest = max((one.call.at for one in known if one.request == calls[-1].request), default=None)
        return "fail" if newest is not None and abs(calls[-1].call.at - newest) <= within else "pass"


@dataclass
class Seen:
    """A call as its session sees it: its first record, with what later ones fill in until it is judged."""

    call: Call
    due: int
    tools: Any
    """`tool_calls`, as they were sent."""

    @property
    def place(self) -> tuple[int, int, str]:
        """The order in which calls are judged."""
        return self.due, self.call.at, self.call.call_id

    @property
    def request(self) -> str | None:
        """The hash of what it was given."""
        return (self.call.attrs or {}).get("input_hash")

    @property
    def escalated(self) -> bool:
        """Whether a person was asked."""
        used = self.tools if isinstance(self.tools, list) else []
        return (self.call.attrs or {}).get("escalated") is True or any(
            tool["name"] == "handoff" and tool.get("ok") is not False for tool in used
        )

    @property
    def failed(self) -> bool:
        """Whether it, or a tool of it, failed."""
        used = self.tools if isinstance(self.tools, list) else []
        return self.call.error is not None or any(tool.get("ok") is False for tool in used)

    def value(self, kind: str) -> float | None:
        """What it adds to a budget."""
        return {"usd": self.call.cost_usd, "calls": 1, "tokens": self.call.tokens}[kind]

    def fill(self, other: Call) -> None:
        """What another record of the call adds."""
        names = ("error", "cost_usd", "tokens", "attrs")
        values = {name: getattr(other, name) for name in names if getattr(self.call, name) in (None, {})}
        self.call = replace(self.call, **values)
        more = (other.raw or {}).get("tool_calls")
        if not isinstance(self.tools, list) and more not in (None, []):
            self.tools = self.tools if self.tools is not None and not isinstance(more, list) else more


class Found(NamedTuple):
    """What one rule found about a call, and the minute in which it takes effect.

    `passed`: a call that closes there or later is still open for it.
    """

    call: Call
    key: Key
    result: str
    minute: int
    passed: int


@dataclass
class _Session:
    """One session: its calls that wait, when each call closes, and what was judged, by contract and version."""

    waiting: list[Seen] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    judged: dict[tuple[str, str], list[Seen]] = field(default_factory=dict)
    last: int | None = None


class SessionChecks:
    """All sessions. `advance` comes before each record, with the watermark before it."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._sessions: dict[str, _Session] = {}
        self._wm = NEVER

    def advance(self, wm: int, *, ended: bool = False) -> list[Found]:
        """Judge what `wm` has passed; `ended`: all that waits."""
        self._wm = wm
        found = []
        for session in self._sessions.values():
            for seen in sorted(session.waiting, key=lambda one: one.place):
                if seen.due < wm or ended:
                    session.waiting.remove(seen)
                    found += self._judge(session, seen, seen.due, min(wm, seen.due))
        return found

    def call(self, call: Call) -> list[Found]:
        """Take in a call of a session, under the name that counts; its first record, or another one."""
        assert call.session_id is not None, "the call has a session"
        session = self._sessions.setdefault(call.session_id, _Session())
        for seen in session.waiting:
            if seen.call.call_id == call.call_id:
                if call.at <= seen.due and _is_same(seen.call, call):
                    seen.fill(call)
                return []
        close = call.at + self.rules.horizon_of(call.task_type) + self.rules.allowed_lateness_us
        if close < self._wm or (call.call_id in session.known and session.known[call.call_id] >= self._wm):
            return []
        session.known[call.call_id] = close
        if not any(one.session_rules for one in in_force(self.rules.contracts, call)):
            return []
        wait = min(self.rules.session_wait_us, self.rules.allowed_lateness_us)
        due = min((call.at // MINUTE_US + 1) * MINUTE_US - 1 + wait, close)
        seen = Seen(call, due, (call.raw or {}).get("tool_calls"))
        if due < self._wm:
            return self._judge(session, seen, self._wm, self._wm)
        session.waiting.append(seen)
        return []

    def erase(self, session_id: str | None, call_id: str | None) -> None:
        """Forget a session, or a call."""
        if session_id is not None:
            self._sessions.pop(session_id, None)
        for session in self._sessions.values():
            if call_id is not None and call_id in session.known:
                del session.known[call_id]
                session.waiting = [one for one in session.waiting if one.call.call_id != call_id]
                for seen in [one for judged in session.judged.values() for one in judged]:
                    seen.call = replace(seen.call, attrs={**(seen.call.attrs or {}), "input_hash": None})
                if not any(close >= self._wm for close in session.known.values()):
                    session.judged = {}

    def _judge(self, session: _Session, seen: Seen, now: int, passed: int) -> list[Found]:
        """A session that had no call for as long as any is held begins from nothing."""
        hold = self.rules.longest_horizon() + self.rules.allowed_lateness_us
        if session.last is not None and session.last + hold < now:
            session.judged, session.last = {}, None
        session.last = seen.call.at if session.last is None else max(session.last, seen.call.at)
        minute = seen.call.at // MINUTE_US
        if self._wm != NEVER:
            minute = max(minute, self._wm // MINUTE_US)
        found = []
        for one in in_force(self.rules.contracts, seen.call):
            calls = session.judged.setdefault((one.name, one.version), [])
            calls.append(seen)
            found += [
                Found(seen.call, (one.name, one.version, rule.id), rule.result(calls), minute, passed)
                for rule in one.session_rules
            ]
        return found


def _is_same(first: Call, other: Call) -> bool:
    """Whether two records of one id are of one call."""
    names = ("task_type", "model", "config", "segment")
    differ = any(getattr(first, name) != getattr(other, name) for name in names)
    errors = {first.error, other.error} - {None}
    return not differ and len(errors) < 2 and abs(first.at - other.at) <= 24 * 60 * MINUTE_US
