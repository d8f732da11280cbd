"""Contract sections 1, 2 and 4, one record at a time: which records count, when calls close, and what follows.

Where two rules refuse the same record, the bounds (`too_old`, `late`, `orphan`) come before identity (`duplicate`,
`conflict`). A record that was refused owns no id.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from xxhash import xxh3_64_intdigest

from oracle.ledger import PENDING, Verdict, decide, ordered, revisions, scaled, standing, succeeded
from oracle.names import counted, spelled
from oracle.records import MINUTE_US, NEVER, Call, Outcome, Record, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable

GRAIN_US = {"1h": 3_600_000_000, "1d": 86_400_000_000}
Group = tuple[str, str, str]


class Dead(NamedTuple):
    """A refused record; `outcome_id` is None where it was a call."""

    reason: str
    call_id: str
    outcome_id: str | None


class Arrived(NamedTuple):
    """An outcome and the minute it counts from, fixed when it arrived."""

    outcome: Outcome
    minute: int


@dataclass
class Held:
    """An accepted call, kept after it has closed too."""

    call: Call
    minute: int
    rules: Rules
    ledger: list[Arrived] = field(default_factory=list)
    closed: bool = False

    @property
    def last_instant(self) -> int:
        """The newest event time a statement on this call may have."""
        return self.call.at + self.rules.horizon_of(self.call.task_type)

    @property
    def close(self) -> int:
        """The call closes once the watermark is greater than this."""
        return self.last_instant + self.rules.allowed_lateness_us

    def statements(self) -> list[Outcome]:
        """The ledger in its order."""
        return ordered(arrived.outcome for arrived in self.ledger)

    def verdict(self, by_minute: int | None = None) -> Verdict:
        """The verdict now, or that at the end of a minute as far as it is known now."""
        statements = [a.outcome for a in self.ledger if by_minute is None or a.minute <= by_minute]
        verdict = decide(self.call, statements, self.rules)
        closed = self.closed and (by_minute is None or self.close // MINUTE_US <= by_minute)
        if verdict != PENDING or not closed:
            return verdict
        silence = self.rules.silence.get(self.call.task_type)
        if silence is None:
            return Verdict("expired")
        return Verdict(silence, "silence", decided_at=self.last_instant)

    def seq(self) -> int:
        """Statements in the ledger, plus 1 once closing has changed the verdict."""
        statements = [arrived.outcome for arrived in self.ledger]
        return len(statements) + (self.closed and decide(self.call, statements, self.rules) == PENDING)


class Oracle:
    """Feeds on records in reading order, each with the watermark in force before it."""

    def __init__(self, rules: Rules) -> None:
        """Start with nothing held, under `rules` to the end."""
        self.rules = rules
        self._records = 0
        self._duplicates = 0
        self._calls: list[Held] = []
        self._waiting: list[Arrived] = []
        self._dead: list[Dead] = []
        self._verdicts: dict[str, dict[str, Any]] = {}

    def feed(self, record: Record, wm: int) -> None:
        """Take the next record; `wm` is the watermark before it in microseconds, NEVER where it has not started."""
        record = spelled(record, self.rules)
        self._advance(wm)
        self._records += 1
        minute = record.at // MINUTE_US
        if wm != NEVER:
            minute = max(minute, wm // MINUTE_US)
        if isinstance(record, Call):
            self._call(counted(record, self.rules), minute, wm)
        else:
            self._outcome(Arrived(record, minute), wm)

    def finish(self, wm: int) -> None:
        """Close and expire what the final watermark has passed."""
        self._advance(wm)

    def _advance(self, wm: int) -> None:
        for held in self._calls:
            if not held.closed and wm > held.close:
                before = held.verdict()
                held.closed = True
                if held.verdict() != before:
                    self._emit(held)
        for arrived in list(self._waiting):
            if wm > arrived.outcome.at + self.rules.orphan_wait_us:
                self._waiting.remove(arrived)
                self._refuse("orphan", arrived.outcome)

    def _held(self, call_id: str) -> Held | None:
        for held in self._calls:
            if held.call.call_id == call_id and not held.closed:
                return held
        return None

    def _call(self, call: Call, minute: int, wm: int) -> None:
        accepted = Held(call, minute, self.rules)
        owner = self._held(call.call_id)
        if accepted.close < wm:
            self._refuse("too_old", call)
        elif owner is not None:
            self._repeat(call, owner.call)
        else:
            self._calls.append(accepted)
            if call.error is not None:
                self._emit(accepted)
            for arrived in [a for a in self._waiting if a.outcome.call_id == call.call_id]:
                self._waiting.remove(arrived)
                self._join(accepted, arrived)

    def _outcome(self, arrived: Arrived, wm: int) -> None:
        outcome = arrived.outcome
        held = self._held(outcome.call_id)
        if held is not None:
            self._join(held, arrived)
            return
        longest = self.rules.longest_horizon() + self.rules.allowed_lateness_us
        if outcome.call_at is not None and outcome.call_at + longest < wm:
            self._refuse("late", outcome)
        elif outcome.at + self.rules.orphan_wait_us < wm:
            self._refuse("orphan", outcome)
        else:
            same = [w.outcome for w in self._waiting if w.outcome.call_id == outcome.call_id]
            owner = owner_of(outcome, same)
            if owner is None:
                self._waiting.append(arrived)
                self._keep_bound(shard_of(outcome.call_id))
            else:
                self._repeat(outcome, owner)

    def _keep_bound(self, shard: int) -> None:
        """Where more wait in a shard than may, the one whose wait ends first becomes an orphan."""
        waiting = [a for a in self._waiting if shard_of(a.outcome.call_id) == shard]
        if self.rules.most_waiting is not None and len(waiting) > self.rules.most_waiting:
            oldest = min(waiting, key=lambda a: (a.outcome.at, hash_of(a.outcome.call_id), *names_of(a.outcome)))
            self._waiting.remove(oldest)
            self._refuse("orphan", oldest.outcome)

    def _join(self, held: Held, arrived: Arrived) -> None:
        outcome = arrived.outcome
        owner = owner_of(outcome, held.statements())
        if outcome.at > held.last_instant:
            self._refuse("late", outcome)
        elif owner is not None:
            self._repeat(outcome, owner)
        else:
            held.ledger.append(Arrived(outcome, max(arrived.minute, held.minute)))
            self._emit(held)

    def _repeat(self, record: Record, owner: Record) -> None:
        if record.deciding() == owner.deciding():
            self._duplicates += 1
        else:
            self._refuse("conflict", record)

    def _refuse(self, reason: str, record: Record) -> None:
        self._dead.append(Dead(reason, record.call_id, record.outcome_id if isinstance(record, Outcome) else None))

    def _emit(self, held: Held) -> None:
        call, verdict = held.call, held.verdict()
        row = {"seq": held.seq(), "call_id": call.call_id}
        row |= {"task_type": call.task_type, "model": call.model, "config": call.config}
        row |= verdict._asdict()
        row["age_s"] = None if verdict.decided_at is None else (verdict.decided_at - call.at) / 1e6
        # A key's state is its greatest seq, the newest among equals; an id may return once its call has closed.
        if call.call_id not in self._verdicts or row["seq"] >= self._verdicts[call.call_id]["seq"]:
            self._verdicts[call.call_id] = row

    def newest_verdicts(self) -> dict[str, dict[str, Any]]:
        """Per call the newest record of `agent.verdicts`, without `event_id`; `decided_at` in microseconds."""
        return self._verdicts

    def dead(self) -> list[Dead]:
        """The dead letters in the order of their refusal."""
        return self._dead

    def waiting(self) -> list[Outcome]:
        """Outcomes still without their call, in the order of arrival."""
        return [arrived.outcome for arrived in self._waiting]

    def counters(self) -> dict[str, int]:
        """The counts of the table `pipeline`."""
        verdicts = Counter(held.verdict().verdict for held in self._calls)
        reasons = Counter(dead.reason for dead in self._dead)
        return {
            "records": self._records,
            "calls": len(self._calls),
            "outcomes": sum(len(held.ledger) for held in self._calls),
            "duplicates": self._duplicates,
            "waiting": len(self._waiting),
            "orphans": reasons["orphan"],
            "late": reasons["late"],
            "conflicts": reasons["conflict"],
            "dead_letters": len(self._dead),
            "pending": verdicts["pending"],
            "successes": verdicts["success"],
            "failures": verdicts["failure"],
            "expired": verdicts["expired"],
        }

    def calls_rows(self) -> list[dict[str, Any]]:
        """The table `calls`; times in microseconds."""
        return [call_row(held) for held in self._calls]

    def statements_rows(self) -> list[dict[str, Any]]:
        """The table `statements`; times in microseconds. The implicit failure of a call is not one of them."""
        return [row for held in self._calls for row in statement_rows(held)]

    def rates_rows(self, grain: str) -> list[dict[str, Any]]:
        """The counts of the table `rates` for grain "1h" or "1d"; `window_start` in microseconds, cost in nanos."""
        windows: dict[tuple[str, str, str, int], list[Held]] = {}
        for held in self._calls:
            call = held.call
            start = call.at // GRAIN_US[grain] * GRAIN_US[grain]
            windows.setdefault((call.task_type, call.model, call.config, start), []).append(held)
        return [rate_row(grain, key, windows[key]) for key in sorted(windows)]

    def trials(self) -> dict[Group, dict[int, tuple[int, int]]]:
        """Trials that succeeded and failed per group and minute, over all minutes that have any."""
        found: dict[Group, dict[int, tuple[int, int]]] = {}
        for held in self._calls:
            per_minute = found.setdefault((held.call.task_type, held.call.model, held.call.config), {})
            for minute, verdict, _ in trials_of(held):
                successes, failures = per_minute.get(minute, (0, 0))
                per_minute[minute] = (successes + (verdict == "success"), failures + (verdict == "failure"))
        return {group: per_minute for group, per_minute in found.items() if per_minute}

    def responses(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """One entry (group, minute, source, success, minutes since the call's) per trial and per assertion.

        Under "scores" (group, minute, source, hundredths).
        """
        found: dict[str, Counter[tuple[Any, ...]]] = {"trials": Counter(), "statements": Counter(), "scores": Counter()}
        for held in self._calls:
            group = (held.call.task_type, held.call.model, held.call.config)
            for minute, verdict, source in trials_of(held):
                found["trials"][group, minute, source, verdict == "success", minute - held.minute] += 1
            for statement, minute in held.ledger:
                if statement.action == "assert":
                    success = succeeded(statement, held.rules)
                    found["statements"][group, minute, statement.source, success, minute - held.minute] += 1
                    if statement.score is not None:
                        found["scores"][
                            group, minute, statement.source, round(scaled(statement, held.rules) * 100)
                        ] += 1
        return found


def owner_of(outcome: Outcome, others: Iterable[Outcome]) -> Outcome | None:
    """The record that owns the id of `outcome` among others of its call."""
    return next((other for other in others if other.outcome_id == outcome.outcome_id), None)


def hash_of(call_id: str) -> int:
    """The hash that decides the shard of a call, and ties between calls."""
    return xxh3_64_intdigest(call_id.encode())


def shard_of(call_id: str) -> int:
    """The shard of a call, of twelve."""
    return hash_of(call_id) % 12


def names_of(outcome: Outcome) -> tuple[str, str]:
    """What decides ties between outcomes of one time, in calls of one hash."""
    return outcome.call_id, outcome.outcome_id


def trials_of(held: Held) -> list[tuple[int, str, str | None]]:
    """(minute, verdict, source) where the verdict at a minute's end is decided and differs from the minute before."""
    minutes = {held.minute, *(arrived.minute for arrived in held.ledger)}
    if held.closed:
        minutes.add(held.close // MINUTE_US)
    found, before = [], "pending"
    for minute in sorted(minutes):
        verdict = held.verdict(by_minute=minute)
        now = verdict.verdict
        if now in ("success", "failure") and now != before:
            found.append((minute, now, verdict.source))
        before = now
    return found


def call_row(held: Held) -> dict[str, Any]:
    """One row of the table `calls`."""
    call, verdict = held.call, held.verdict()
    return {
        "call_id": call.call_id,
        "occurred_at": call.at,
        "task_type": call.task_type,
        "model": call.model,
        "config": call.config,
        "segment": call.segment,
        "session_id": call.session_id,
        "latency_ms": call.latency_ms,
        "cost_usd": call.cost_usd,
        "tokens": call.tokens,
        "error": call.error,
        "attrs": dict(call.attrs or {}),
        "verdict": verdict.verdict,
        "score": verdict.score,
        "verdict_source": verdict.source,
        "verdict_at": verdict.decided_at,
        "statements": len(held.ledger),
        "revisions": revisions(call, held.statements(), held.rules),
    }


def statement_rows(held: Held) -> list[dict[str, Any]]:
    """The rows of one call in the table `statements`, in the order of its ledger."""
    stand = standing(held.statements()).values()
    return [
        {
            "call_id": s.call_id,
            "outcome_id": s.outcome_id,
            "source": s.source,
            "occurred_at": s.at,
            "action": s.action,
            # What the statement asserts, by itself or through its score; a retraction asserts nothing.
            "success": succeeded(s, held.rules) if s.action == "assert" else None,
            "score": s.score,
            "reason": s.reason,
            "stands": s in stand,
        }
        for s in held.statements()
    ]


def rate_row(grain: str, key: tuple[str, str, str, int], calls: list[Held]) -> dict[str, Any]:
    """One row of the table `rates`."""
    verdicts = Counter(held.verdict().verdict for held in calls)
    resolved = verdicts["success"] + verdicts["failure"]
    return {
        "task_type": key[0],
        "model": key[1],
        "config": key[2],
        "grain": grain,
        "window_start": key[3],
        "calls": len(calls),
        "resolved": resolved,
        "successes": verdicts["success"],
        "failures": verdicts["failure"],
        "expired": verdicts["expired"],
        "pending": verdicts["pending"],
        "rate": verdicts["success"] / resolved if resolved else None,
        "cost_nano": sum(round((held.call.cost_usd or 0.0) * 1e9) for held in calls),
    }
