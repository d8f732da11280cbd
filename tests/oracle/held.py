"""A call as it is held, with its ledger, and what it is at the end of each minute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from oracle.contracts import Key, had, in_force, said, words
from oracle.identity import completed, entered
from oracle.ledger import PENDING, Verdict, decide, is_silent, opinion, ordered
from oracle.records import MINUTE_US, Attempt, Call, Outcome, Rules

DECIDED = ("success", "failure")

Group = tuple[str, str, str]
METRICS = ("latency_ms", "cost_usd", "tokens")


class Arrived(NamedTuple):
    """An outcome and the minute it counts from, fixed when it arrived."""

    outcome: Outcome
    minute: int


class Tried(NamedTuple):
    """A failed attempt, its number, and the minute it counts from."""

    attempt: Attempt
    number: int
    minute: int


class Check(NamedTuple):
    """What a rule found, and the minute it counts from."""

    result: str
    minute: int


def is_own(outcome: Outcome) -> bool:
    """Whether a statement is the pipeline's own."""
    return outcome.outcome_id.startswith("contract:")


class Measured(NamedTuple):
    """A value of a call (`attempt` 0) or of a failed attempt, and the minute in which detectors take it."""

    group: Group
    minute: int
    attempt: int
    metric: str
    value: float


class Counted(NamedTuple):
    """What rates count: a call, or a failed attempt."""

    group: Group
    at: int
    verdict: str
    cost_usd: float | None


@dataclass
class Held:
    """An accepted call, kept after it has closed too."""

    call: Call
    minute: int
    rules: Rules
    ledger: list[Arrived] = field(default_factory=list)
    closed: bool = False
    tried: list[Tried] = field(default_factory=list)
    error_minute: int | None = None
    """From when on the call's own error is known."""
    measured: list[Measured] = field(default_factory=list)
    checks: dict[Key, Check] = field(default_factory=dict)
    """What each rule found, and the minute it counts from."""
    unit: str | None = field(init=False)
    """The unit of evidence that it is part of: its session, else its parent; None where its first record has neither.
    """
    facets: frozenset[tuple[str, str]] = field(init=False)
    """Those of its first record."""

    def __post_init__(self) -> None:
        self.facets = self.call.facets
        self.unit = self.call.session_id or self.call.parent_call_id
        if self.call.error is not None:
            self.error_minute = self.minute
        self._measure(METRICS, self.minute)
        self._try(self.minute)
        self._lists_tools = "tool_calls" in (self.call.raw or {})
        self._judge(said(self.call, self.call.latency_ms), self.minute, None)
        if self.call.session_id is None:
            # To what has a session, `oracle.session_checks` applies its rules.
            for one in in_force(self.rules.contracts, self.call):
                for rule in one.session_rules:
                    self.checks[one.name, one.version, rule.id] = Check("not_applicable", self.minute)

    @property
    def group(self) -> Group:
        """What the call counts for."""
        return self.call.task_type, self.call.model, self.call.config

    @property
    def last_instant(self) -> int:
        """The newest event time a statement on this call may have."""
        return self.call.at + self.rules.horizon_of(self.call.task_type)

    @property
    def close(self) -> int:
        """The call closes once the watermark is greater than this."""
        return self.last_instant + self.rules.allowed_lateness_us

    def arrived(self) -> list[Outcome]:
        """The ledger in the order of arrival."""
        return [arrived.outcome for arrived in self.ledger]

    def statements(self) -> list[Outcome]:
        """The ledger in its order."""
        return ordered(self.arrived())

    def enter(self, outcome: Outcome, minute: int) -> None:
        """Add a statement, or another edition of one."""
        self.ledger.append(Arrived(entered(outcome, self.arrived()), max(minute, self.minute)))

    def check(self, seen: Call, key: Key, found: Check) -> None:
        """What a rule over sessions has found of a record; one of another session, group or time is not of this call.

        Its time may be another one where the first record had no session.
        """
        session_id, group = seen.session_id, (seen.task_type, seen.model, seen.config)
        is_own = self.call.session_id == session_id and (self.unit != session_id or self.call.at == seen.at)
        if is_own and group == self.group and (self.unit == session_id or key in self.checks):
            self.checks[key] = found

    def complete(self, other: Call, minute: int) -> bool:
        """Fill what the call lacks from another record of it; whether there was anything to fill."""
        before, self.call = self.call, completed(self.call, other)
        minute = max(minute, self.minute)
        if self.call != before:
            self._judge_late(before, other, minute)
        if before.error is None and self.call.error is not None:
            self.error_minute = minute
        self._measure([metric for metric in METRICS if getattr(before, metric) is None], minute)
        if not before.attempts:
            self._try(minute)
        return self.call != before

    def _judge_late(self, before: Call, other: Call, minute: int) -> None:
        """The rules that had lacked something, which `other` has all of."""
        latency_ms = other.latency_ms
        own = had(other, lists_tools=False)
        if before.latency_ms is None and self.call.latency_ms is not None:
            latency_ms, own = self.call.latency_ms, own | {"latency_ms"}
        known = had(before, lists_tools=self._lists_tools)
        due = {
            (one.name, one.version, rule.id)
            for one in in_force(self.rules.contracts, self.call)
            for rule in one.rules
            if not rule.needs <= known and rule.needs <= own
        }
        self._judge(said(other, latency_ms), minute, due)

    def _judge(self, record: Mapping[str, Any], minute: int, due: set[Key] | None) -> None:
        """Judge by all rules (`due` None) or by some; what they find for want of a field stays not applicable."""
        for one in in_force(self.rules.contracts, self.call):
            reasons = []
            for rule in one.rules:
                key = one.name, one.version, rule.id
                if due is not None and key not in due:
                    continue
                result = rule.result(record)
                self.checks[key] = Check(result, minute)
                if result == "fail" and rule.severity in self.rules.severe:
                    reasons.append(f"{rule.id}: {words(one, rule, record)}")
            self._state(f"contract:{one.name}@{one.version}", "; ".join(reasons), minute)

    def _state(self, outcome_id: str, reason: str, minute: int) -> None:
        """A violation is a statement, the first of its contract's."""
        if reason and all(one.outcome_id != outcome_id for one in self.arrived()):
            own = Outcome(outcome_id, self.call.call_id, self.call.at, "contract", success=False, reason=reason)
            self.ledger.append(Arrived(own, minute))

    def _measure(self, metrics: Iterable[str], minute: int) -> None:
        values = {metric: getattr(self.call, metric) for metric in metrics}
        self.measured += [Measured(self.group, minute, 0, *one) for one in values.items() if one[1] is not None]

    def _try(self, minute: int) -> None:
        numbered = enumerate(self.call.attempts, 1)
        tried = [Tried(attempt, number, minute) for number, attempt in numbered if attempt.error is not None]
        self.tried += tried
        for attempt, number, _ in tried:
            values = {"latency_ms": attempt.latency_ms, "cost_usd": attempt.cost_usd}
            group = self.group_of(attempt)
            self.measured += [Measured(group, minute, number, m, v) for m, v in values.items() if v is not None]

    def group_of(self, attempt: Attempt) -> Group:
        """What an attempt counts for."""
        config = self.call.config if attempt.config is None else attempt.config
        return self.call.task_type, attempt.model, config

    def call_by(self, minute: int | None) -> Call:
        """The call as far as it is known at the end of a minute."""
        is_known = self.error_minute is None or minute is None or minute >= self.error_minute
        return self.call if is_known else replace(self.call, error=None)

    def verdict(self, by_minute: int | None = None) -> Verdict:
        """The verdict now, or that at the end of a minute as far as it is known now."""
        statements = [a.outcome for a in self.ledger if by_minute is None or a.minute <= by_minute]
        verdict = decide(self.call_by(by_minute), statements, self.rules)
        closed = self.closed and (by_minute is None or self.close // MINUTE_US <= by_minute)
        if verdict != PENDING or not closed:
            return verdict
        silence = self.rules.silence.get(self.call.task_type)
        if silence is None or not is_silent(self.call, statements, self.rules):
            return Verdict("expired")
        return Verdict(silence, "silence", decided_at=self.last_instant)

    def seq(self) -> int:
        """Statements in the ledger, plus 1 once closing has changed the verdict."""
        return len(self.ledger) + (self.closed and decide(self.call, self.arrived(), self.rules) == PENDING)

    def trials(self) -> Iterator[tuple[Group, int, str, str | None]]:
        """(group, minute, verdict, source) where a minute ends with a verdict, and another than the minute before."""
        yield from ((self.group, *trial) for trial in trials_of(self))
        yield from ((self.group_of(attempt), minute, "failure", "call") for attempt, _, minute in self.tried)

    def dated(self) -> Iterator[tuple[Group, int, str, int]]:
        """(group, minute, what, +1 or -1): calls, and verdicts that from the end of a minute on stand, or do not."""
        yield self.group, self.minute, "calls", 1
        for attempt, _, minute in self.tried:
            yield from ((self.group_of(attempt), minute, what, 1) for what in ("calls", "failure"))
        before = "pending"
        for minute, now in verdicts_of(self):
            if now != before:
                yield from ((self.group, minute, one, n) for one, n in ((before, -1), (now, 1)) if one in DECIDED)
            before = now

    def opinion_trials(self, source: str) -> Iterator[tuple[int, bool]]:
        """(minute, success) where a minute ends with a source saying so, and another thing than the minute before."""
        before = None
        for minute in sorted({arrived.minute for arrived in self.ledger}):
            said = opinion(source, [a.outcome for a in self.ledger if a.minute <= minute], self.rules)
            now = None if said is None else said.success
            if now is not None and now is not before:
                yield minute, now
            before = now

    def counted(self) -> Iterator[Counted]:
        """The call and its failed attempts."""
        yield Counted(self.group, self.call.at, self.verdict().verdict, self.call.cost_usd)
        for attempt, _, _ in self.tried:
            yield Counted(self.group_of(attempt), self.call.at, "failure", attempt.cost_usd)


def trials_of(held: Held) -> list[tuple[int, str, str | None]]:
    """(minute, verdict, source) where the verdict at a minute's end is decided and differs from the minute before."""
    found, before = [], "pending"
    for minute, now in verdicts_of(held):
        if now in DECIDED and now != before:
            found.append((minute, now, held.verdict(by_minute=minute).source))
        before = now
    return found


def verdicts_of(held: Held) -> Iterator[tuple[int, str]]:
    """(minute, verdict) at the end of each minute in which something took effect."""
    minutes = {held.minute, *(arrived.minute for arrived in held.ledger)}
    if held.error_minute is not None:
        minutes.add(held.error_minute)
    if held.closed:
        minutes.add(held.close // MINUTE_US)
    for minute in sorted(minutes):
        yield minute, held.verdict(by_minute=minute).verdict
