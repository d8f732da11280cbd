"""Contract sections 1, 2 and 4, one record at a time: which records count, when calls close, and what follows.

Where two rules refuse the same record, the bounds (`too_old`, `late`, `orphan`) come before identity (`duplicate`,
`conflict`, `no_verdict`), but for a record that repeats or completes a held call. A record that was refused owns no id.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from xxhash import xxh3_64_intdigest

from oracle.held import Arrived, Group, Held, is_own
from oracle.identity import differing, fate
from oracle.lateness import Usual, class_of, lateness
from oracle.ledger import says, scaled
from oracle.names import counted, spelled
from oracle.records import MINUTE_US, NEVER, Call, Outcome, Record, Rules
from oracle.tables import attempt_rows, call_row, rate_rows, segment_rate_rows, source_rate_rows, statement_rows

if TYPE_CHECKING:
    from collections.abc import Sequence


class Dead(NamedTuple):
    """A refused record; `outcome_id` is None where it was a call."""

    reason: str
    call_id: str
    outcome_id: str | None


class Waiting(NamedTuple):
    """An outcome without a held call; `ends`: when its wait is over, fixed when it was accepted."""

    arrived: Arrived
    ends: int

    @property
    def outcome(self) -> Outcome:
        """The record."""
        return self.arrived.outcome


class Oracle:
    """Feeds on records in reading order, each with the watermark in force before it."""

    def __init__(self, rules: Rules) -> None:
        """Start with nothing held, under `rules` to the end."""
        self.rules = rules
        self._records = 0
        self._duplicates = 0
        self._completed = 0
        self._calls: list[Held] = []
        self._waiting: list[Waiting] = []
        self._dead: list[Dead] = []
        self._named: list[str | None] = []
        self._verdicts: dict[str, dict[str, Any]] = {}
        self._issued: dict[tuple[int, str, int], dict[str, Any]] = {}

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
        for waiting in list(self._waiting):
            if wm > waiting.ends:
                self._waiting.remove(waiting)
                self._refuse("orphan", waiting.outcome)

    def _held(self, call_id: str) -> Held | None:
        for held in self._calls:
            if held.call.call_id == call_id and not held.closed:
                return held
        return None

    def _call(self, call: Call, minute: int, wm: int) -> None:
        accepted = Held(call, minute, self.rules)
        owner = self._held(call.call_id)
        if owner is not None and owner.rules.completes and differing(owner.call, call) is None:
            self._complete(owner, call, minute)
        elif accepted.close < wm:
            self._refuse("too_old", call)
        elif owner is not None and not owner.rules.completes and call.deciding() == owner.call.deciding():
            self._duplicates += 1
        elif owner is not None:
            self._refuse("conflict", call, differing(owner.call, call))
        else:
            self._calls.append(accepted)
            if call.error is not None or accepted.ledger:
                self._emit(accepted)
            for waiting in [one for one in self._waiting if one.outcome.call_id == call.call_id]:
                self._waiting.remove(waiting)
                self._join(accepted, waiting.arrived)

    def _complete(self, owner: Held, call: Call, minute: int) -> None:
        before, length = owner.verdict(), len(owner.ledger)
        if owner.complete(call, minute):
            self._completed += 1
        else:
            self._duplicates += 1
        if owner.verdict() != before or len(owner.ledger) > length:
            self._emit(owner)

    def _outcome(self, arrived: Arrived, wm: int) -> None:
        outcome = arrived.outcome
        held = self._held(outcome.call_id)
        if held is not None:
            self._join(held, arrived)
            return
        longest = self.rules.longest_horizon() + self.rules.allowed_lateness_us
        if outcome.call_at is not None and outcome.call_at + longest < wm:
            self._refuse("late", outcome)
        elif self._is_accepted(outcome, [w.outcome for w in self._waiting if w.outcome.call_id == outcome.call_id]):
            self._waiting.append(Waiting(arrived, self._waits_until(outcome, wm)))
            self._keep_bound(shard_of(outcome.call_id))

    def _waits_until(self, outcome: Outcome, wm: int) -> int:
        """What is read late waits from then on; and nothing gives up while its call, by its own word, could come."""
        ends = max(outcome.at, wm) + self.rules.orphan_wait_us
        if outcome.call_at is None:
            return ends
        return max(ends, outcome.call_at + self.rules.longest_horizon() + self.rules.allowed_lateness_us)

    def _keep_bound(self, shard: int) -> None:
        """Where more wait in a shard than may, the one whose wait ends first becomes an orphan."""
        waiting = [a for a in self._waiting if shard_of(a.outcome.call_id) == shard]
        if self.rules.most_waiting is not None and len(waiting) > self.rules.most_waiting:
            oldest = min(waiting, key=lambda a: (a.ends, hash_of(a.outcome.call_id), *names_of(a.outcome)))
            self._waiting.remove(oldest)
            self._refuse("orphan", oldest.outcome)

    def _join(self, held: Held, arrived: Arrived) -> None:
        outcome = arrived.outcome
        if outcome.at > held.last_instant:
            self._refuse("late", outcome)
        elif self._is_accepted(outcome, held.arrived(), held.rules):
            held.enter(outcome, arrived.minute)
            self._emit(held)

    def open_call(self, call_id: str, passed: int) -> Held | None:
        """The held call that closes at `passed` or later."""
        held = self._held(call_id)
        return held if held is not None and held.close >= passed else None

    def enter(self, held: Held, outcome: Outcome, minute: int) -> None:
        """Add a statement that a session makes: its identity is decided there."""
        held.enter(outcome, minute)
        self._emit(held)

    def _is_accepted(self, outcome: Outcome, others: Sequence[Outcome], rules: Rules | None = None) -> bool:
        """Whether an outcome joins the others of its call, which are in the order of arrival; else it is counted."""
        kind, field = fate(outcome, others, rules or self.rules)
        if kind == "duplicate":
            self._duplicates += 1
        elif kind not in {"new", "edition"}:
            self._refuse(kind, outcome, field)
        return kind in {"new", "edition"}

    def _refuse(self, reason: str, record: Record, field: str | None = None) -> None:
        self._dead.append(Dead(reason, record.call_id, record.outcome_id if isinstance(record, Outcome) else None))
        self._named.append(field)

    def _emit(self, held: Held) -> None:
        call, verdict = held.call, held.verdict()
        row = {"seq": held.seq(), "call_id": call.call_id}
        row |= {"task_type": call.task_type, "model": call.model, "config": call.config}
        row |= verdict._asdict()
        row["age_s"] = None if verdict.decided_at is None else (verdict.decided_at - call.at) / 1e6
        self._issued[self._records, call.call_id, call.at] = row
        # A key's state is its greatest seq, the newest among equals; an id may return once its call has closed.
        if call.call_id not in self._verdicts or row["seq"] >= self._verdicts[call.call_id]["seq"]:
            self._verdicts[call.call_id] = row

    def newest_verdicts(self) -> dict[str, dict[str, Any]]:
        """Per call the newest record of `agent.verdicts`, without `event_id`; `decided_at` in microseconds."""
        return self._verdicts

    def issued(self) -> dict[str, list[dict[str, Any]]]:
        """Per id all its records of `agent.verdicts`: of those of one call that one record causes, the last."""
        found: dict[str, list[dict[str, Any]]] = {}
        for (_, call_id, _), row in self._issued.items():
            found.setdefault(call_id, []).append(row)
        return found

    def dead(self) -> list[Dead]:
        """The dead letters in the order of their refusal."""
        return self._dead

    def named(self) -> list[str | None]:
        """The field or setting that the detail of each dead letter names, in the same order; None where none is."""
        return self._named

    def waiting(self) -> list[Outcome]:
        """Outcomes still without their call, in the order of arrival."""
        return [waiting.outcome for waiting in self._waiting]

    def counters(self) -> dict[str, int]:
        """The counts of the table `pipeline`."""
        verdicts = Counter(one.verdict for held in self._calls for one in held.counted())
        reasons = Counter(dead.reason for dead in self._dead)
        return {
            "records": self._records,
            "calls": len(self._calls),
            "completed": self._completed,
            "attempts": sum(len(held.tried) for held in self._calls),
            "outcomes": sum(not is_own(outcome) for held in self._calls for outcome in held.arrived()),
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
        return [row for held in self._calls for row in (call_row(held), *attempt_rows(held))]

    def statements_rows(self) -> list[dict[str, Any]]:
        """The table `statements`; times in microseconds. The implicit failure of a call is not one of them."""
        return [row for held in self._calls for row in statement_rows(held)]

    def rates_rows(self, grain: str) -> list[dict[str, Any]]:
        """The counts of the table `rates` for grain "1h" or "1d"; `window_start` in microseconds, cost in nanos."""
        return rate_rows(grain, self._calls)

    def segment_rates_rows(self, grain: str) -> list[dict[str, Any]]:
        """The counts of the table `segment_rates`, likewise: those of the calls of each segment that is counted."""
        return segment_rate_rows(grain, self._calls, self.rules)

    def segment_trials(self) -> Counter[tuple[Any, ...]]:
        """One entry (group, minute, segment, success) per trial of a call whose segment is counted."""
        usual = self.usual()
        return Counter(
            (group, minute, segment, verdict == "success")
            for held in self._calls
            if (segment := self.rules.counted_segment(held.call.task_type, held.call.segment)) is not None
            for group, minute, verdict, _ in held.trials()
            if usual.placed(held, group, minute)
        )

    def source_rates_rows(self, grain: str) -> list[dict[str, Any]]:
        """The counts of the table `source_rates`, likewise."""
        return source_rate_rows(grain, self._calls)

    def usual(self) -> Usual:
        """How late the calls of each group usually come: later ones are no evidence."""
        return Usual(self._calls)

    def trials(self, *, late: bool = False) -> dict[Group, dict[int, tuple[int, int]]]:
        """Trials that succeeded and failed per group and minute, over all minutes that have any.

        `late`: also those of calls that came too late to be evidence.
        """
        found: dict[Group, dict[int, tuple[int, int]]] = {}
        usual = self.usual()
        for held in self._calls:
            for group, minute, verdict, _ in held.trials():
                if not late and not usual.placed(held, group, minute):
                    continue
                successes, failures = found.setdefault(group, {}).get(minute, (0, 0))
                found[group][minute] = (successes + (verdict == "success"), failures + (verdict == "failure"))
        return found

    def dated(self) -> Counter[tuple[Any, ...]]:
        """Net changes by (group, minute, quarter of an hour of the call, "calls" or verdict)."""
        usual, found = self.usual(), Counter[tuple[Any, ...]]()
        for held in self._calls:
            for group, minute, what, count in held.dated():
                if usual.placed(held, group, minute):
                    found[group, minute, held.call.at // (15 * MINUTE_US), what] += count
        return found

    def units(self) -> Counter[tuple[Any, ...]]:
        """Trials by (group, minute, hash of the unit, success), of calls that are part of a unit."""
        usual = self.usual()
        return Counter(
            (group, minute, hash_of(held.unit), int(verdict == "success"))
            for held in self._calls
            for group, minute, verdict, _ in held.trials()
            if held.unit is not None and usual.placed(held, group, minute)
        )

    def responses(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """One entry (group, minute, source, success, minutes since the call's) per trial and per assertion.

        `success` is None of an abstention. Under "scores" (group, minute, source, hundredths). Under "delays" that of
        trials, from which is learned how long they take: none where the call came late.
        """
        names = ("trials", "statements", "scores", "delays")
        found: dict[str, Counter[tuple[Any, ...]]] = {name: Counter() for name in names}
        usual = self.usual()
        for held in self._calls:
            for group, minute, verdict, source in held.trials():
                if usual.placed(held, group, minute):
                    found["trials"][group, minute, source, verdict == "success", minute - held.minute] += 1
                    delay = 0 if class_of(lateness(held)) else minute - held.minute
                    if source != self.rules.unlearned:
                        found["delays"][group, minute, source, verdict == "success", delay] += 1
            for statement, minute in held.ledger:
                if statement.action == "assert" and not is_own(statement) and usual.placed(held, held.group, minute):
                    success, late = says(statement, held.rules), minute - held.minute
                    found["statements"][held.group, minute, statement.source, success, late] += 1
                    if statement.score is not None:
                        level = round(scaled(statement, held.rules) * 100)
                        found["scores"][held.group, minute, statement.source, level] += 1
        return found

    def checks(self) -> dict[tuple[Any, ...], str]:
        """By call (id and time), contract, version and rule: what the rule found."""
        return {
            (held.call.call_id, held.call.at, *key): check.result
            for held in self._calls
            for key, check in held.checks.items()
        }

    def learned(self) -> list[tuple[Group, int, bool, int]]:
        """Of each verdict but those by contracts: the call's group and time, success, and how long it took, us."""
        found = []
        for held in self._calls:
            verdict, at = held.verdict(), held.call.at
            if verdict.decided_at is not None and not (verdict.outcome_id or "").startswith("contract:"):
                found.append((held.group, at, verdict.verdict == "success", max(verdict.decided_at - at, 0)))
            found += [(held.group_of(attempt), at, False, 0) for attempt, _, _ in held.tried]
        return found

    def check_counts(self) -> Counter[tuple[Any, ...]]:
        """By group, contract, version, rule, hour of the call and result: how many calls."""
        return Counter(
            (held.group, *key, held.call.at // (60 * MINUTE_US), check.result)
            for held in self._calls
            for key, check in held.checks.items()
        )

    def check_trials(self) -> Counter[tuple[Any, ...]]:
        """By group, minute in which it counts, contract, version, rule and result: what passed or failed."""
        return Counter(
            (held.group, check.minute, *key, check.result)
            for held in self._calls
            for key, check in held.checks.items()
            if check.result in {"pass", "fail"}
        )

    def values(self, *, late: bool = False) -> Counter[tuple[Any, ...]]:
        """What detectors take: (group, minute, time of the call, its id, attempt, metric, value). `late`: as trials."""
        usual = self.usual()
        return Counter(
            (one.group, one.minute, held.call.at, held.call.call_id, *one[2:])
            for held in self._calls
            for one in held.measured
            if late or usual.placed(held, one.group, one.minute)
        )


def hash_of(call_id: str) -> int:
    """The hash that decides the shard of a call, and ties between calls."""
    return xxh3_64_intdigest(call_id.encode())


def shard_of(call_id: str) -> int:
    """The shard of a call, of twelve."""
    return hash_of(call_id) % 12


def names_of(outcome: Outcome) -> tuple[str, str]:
    """What decides ties between outcomes of one time, in calls of one hash."""
    return outcome.call_id, outcome.outcome_id
