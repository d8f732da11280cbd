"""Computes the expected tables from the written records, call by call, without the pipeline.

It follows reference sections 1, 2 and 4 for a history in which nothing is late or orphaned by its arrival, so that
neither the order between partitions nor the watermark on the way affects a result.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

from aftercall.times import parse_time
from benchmarks.kill_traffic import HORIZON_US, LATENESS_US, TOLD_LATER, Kind, Sent

Row = tuple[Any, ...]
Json = dict[str, Any]
UNREAD: Final = "unread"
"""Stands for a reason to refuse a record: the topic dropped it before it was read, so that it counts nowhere."""
GRAINS: Final = {"1h": 3_600_000_000, "1d": 86_400_000_000}
PRECEDENCE: Final = ("human_review", "ticket_reopened", "downstream", "user_feedback", "contract", "judge")
PASS_AT: Final = 0.7
_OF_CALL: Final[tuple[str, ...]] = ("occurred_at", "task_type", "model", "config", "segment")
_OF_OUTCOME: Final[tuple[str, ...]] = ("occurred_at", "source", "author", "success", "score", "action", "retracts")
_COPIED: Final = ("task_type", "model", "config", "segment", "session_id", "latency_ms", "cost_usd")


class Rewound(NamedTuple):
    """From here on the records of a partition have offsets from `offset`: its topic was made again, or cut."""

    kind: Kind
    partition: int
    offset: int


class Truth:
    """The expected rows of every table, in the columns of `kill_compare.TRUE`; times in µs.

    Attributes:
        calls, statements, rates, source_rates, dead_letters, verdicts: one tuple per row.
        counters: counts of the table `pipeline`.
        watermark: the newest event time of all records, in µs.
    """

    def __init__(
        self, sent: Iterable[Sent | Rewound], topics: Mapping[Kind, str], horizon_us: int = HORIZON_US
    ) -> None:
        """Read the records in the order of their partitions.

        Args:
            sent: the records, in the order in which they were written.
            topics: name of the topic, by kind.
            horizon_us: of the join.
        """
        self._horizon_us = horizon_us
        self._calls_by_id: dict[str, Json] = {}
        self._outcomes_by_call: dict[str, dict[str, Json]] = {}
        self._topics, self._offsets = topics, Counter[tuple[str, int]]()
        self.dead_letters: list[Row] = []
        self.counters = Counter[str]()
        self.watermark = 0
        for record in sent:
            if isinstance(record, Rewound):
                self._offsets[record.kind, record.partition] = record.offset
            else:
                self._read(record)
        self.calls: list[Row] = []
        self.statements: list[Row] = []
        self.verdicts: list[Row] = []
        self._windows: dict[Row, Counter[str]] = {}
        self._opinions: dict[Row, Counter[bool]] = {}
        for call_id, call in self._calls_by_id.items():
            self._judge(call, ordered(self._outcomes_by_call.pop(call_id, {}).values()))
        self.rates = [_rate_row(key, counts) for key, counts in self._windows.items()]
        self.source_rates = [(*key, n.total(), n[True], n[False]) for key, n in self._opinions.items()]
        self.counters["waiting"] = sum(map(len, self._outcomes_by_call.values()))
        self.counters["outcomes"] = len(self.statements)
        self.counters["dead_letters"] = len(self.dead_letters)

    def _read(self, record: Sent) -> None:
        offset = self._offsets[record.kind, record.partition]
        self._offsets[record.kind, record.partition] += 1
        if record.refused == UNREAD:
            return
        self.counters["records"] += 1
        if record.refused is not None:
            self._refuse(record, offset, record.refused)
            return
        try:
            fields = json.loads(record.value)
            at = parse_time(fields["occurred_at"])
        except (ValueError, TypeError, KeyError):
            self._refuse(record, offset, None)
            return
        fields |= {"at": at}
        self.watermark = max(self.watermark, at)
        if record.kind == "calls":
            fields.setdefault("config", "default")
            first, deciding = self._calls_by_id.setdefault(fields["call_id"], fields), _OF_CALL
        else:
            fields.setdefault("action", "assert")
            call = self._calls_by_id.get(fields["call_id"])
            if call is not None and at > call["at"] + self._horizon_us:
                self._refuse(record, offset, "late")
                return
            ledger = self._outcomes_by_call.setdefault(fields["call_id"], {})
            first, deciding = ledger.setdefault(fields["outcome_id"], fields), _OF_OUTCOME
        if first is fields:
            return
        if record.kind == "calls" and _complete(first, fields):
            self.counters["completed"] += 1
            return
        if all(first.get(name) == fields.get(name) for name in deciding):
            self.counters["duplicates"] += 1
        else:
            self._refuse(record, offset, "conflict")

    def _refuse(self, record: Sent, offset: int, reason: str | None) -> None:
        """Add a dead letter; `reason` None: the record is unreadable, for which the pipeline has several slugs."""
        self.counters["conflicts"] += reason == "conflict"
        self.counters["late"] += reason == "late"
        self.counters["orphans"] += reason == "orphan"
        digest = hashlib.sha256(record.value).hexdigest()
        self.dead_letters.append((reason, self._topics[record.kind], record.partition, offset, digest))

    def _judge(self, call: Json, ledger: list[Json]) -> None:
        stands = standing(ledger)
        verdict, best = decide(call, stands)
        closed = self.watermark > call["at"] + self._horizon_us + LATENESS_US
        by_closing = closed and verdict == "pending"
        verdict = "expired" if by_closing else verdict
        source = best["source"] if best else "call" if verdict == "failure" else None
        decided_at = best["at"] if best else call["at"] if source == "call" else None
        score, outcome_id = (best.get("score"), best["outcome_id"]) if best else (None, None)
        reason = best.get("reason") if best else call.get("error") if source == "call" else None
        parts = [call[name] for name in ("tokens_in", "tokens_out") if name in call]
        tokens = call.get("tokens", sum(parts) if parts else None)
        attrs = json.dumps(call["attrs"], sort_keys=True) if "attrs" in call else None
        self.calls.append((
            call["call_id"], 0, call["at"], *(call.get(name) for name in _COPIED), tokens, call.get("error"), attrs,
            verdict, score, source, decided_at, len(ledger), revisions(call, ledger),
        ))  # fmt: skip
        stand_ids = {id(statement) for statement in stands.values()}
        self.statements += [
            (
                s["call_id"], s["outcome_id"], s["source"], s["at"], s["action"],
                succeeded(s) if s["action"] == "assert" else None, s.get("score"), s.get("reason"),
                id(s) in stand_ids,
            )
            for s in ledger
        ]  # fmt: skip
        self.counters[{"success": "successes", "failure": "failures"}.get(verdict, verdict)] += 1
        self.counters["calls"] += 1
        if ledger or by_closing or "error" in call:
            age_s = None if decided_at is None else (decided_at - call["at"]) / 1e6
            self.verdicts.append((
                call["call_id"], len(ledger) + by_closing, call["task_type"], call["model"], call["config"], verdict,
                score, source, outcome_id, reason, decided_at, age_s,
            ))  # fmt: skip
        self._count(call, verdict)
        for statement in stands.values():
            self._count_opinion(call, statement)
        for number, attempt in enumerate(call.get("attempts", ()), 1):
            if "error" in attempt:
                self._try(call | {"config": call["config"], "latency_ms": None, "cost_usd": None} | attempt, number)

    def _try(self, attempt: Json, number: int) -> None:
        """A failed attempt, with what its call has beside what is its own."""
        self.calls.append((
            attempt["call_id"], number, attempt["at"], *(attempt.get(name) for name in _COPIED), None,
            attempt["error"], None, "failure", None, "call", attempt["at"], 0, 0,
        ))  # fmt: skip
        self.counters["failures"] += 1
        self.counters["attempts"] += 1
        self._count(attempt, "failure")

    def _count(self, call: Json, verdict: str) -> None:
        for grain, length in GRAINS.items():
            key = (call["task_type"], call["model"], call["config"], grain, call["at"] // length * length)
            counts = self._windows.setdefault(key, Counter())
            counts["calls"] += 1
            counts[verdict] += 1
            counts["cost_nano"] += round((call.get("cost_usd") or 0.0) * 1e9)

    def _count_opinion(self, call: Json, statement: Json) -> None:
        group = (call["task_type"], call["model"], call["config"])
        for grain, length in GRAINS.items():
            key = (*group, statement["source"], grain, call["at"] // length * length)
            self._opinions.setdefault(key, Counter())[succeeded(statement)] += 1


def _complete(first: Json, other: Json) -> bool:
    """Fill what a call lacks from another record of it, of the same instant; whether there was anything."""
    if any(first.get(name) != other.get(name) for name in ("task_type", "model", "config", "segment")):
        return False
    more = {name: value for name, value in other.items() if name in TOLD_LATER and name not in first}
    first |= more
    return bool(more)


def ordered(statements: Iterable[Json]) -> list[Json]:
    """The ledger of these statements, in its order."""
    return sorted(statements, key=lambda statement: (statement["at"], statement["outcome_id"]))


def succeeded(statement: Json) -> bool:
    """Whether a statement asserts success."""
    return bool(statement["success"] if "success" in statement else statement["score"] >= PASS_AT)


def standing(ledger: list[Json]) -> dict[str, Json]:
    """Per source, the newest statement that is not withdrawn."""
    retractions = [statement for statement in ledger if statement["action"] == "retract"]

    def withdrawn(statement: Json) -> bool:
        return any(
            retraction["retracts"] == statement["outcome_id"]
            if "retracts" in retraction
            else retraction["source"] == statement["source"] and statement["at"] <= retraction["at"]
            for retraction in retractions
        )

    return {s["source"]: s for s in ledger if s["action"] == "assert" and not withdrawn(s)}


def decide(call: Json, stands: dict[str, Json]) -> tuple[str, Json | None]:
    """The verdict on a held call, and the statement that decides it."""
    listed = [stands[source] for source in PRECEDENCE if source in stands]
    best = listed[0] if listed else ordered(stands.values())[-1] if stands else None
    if best is None:
        return ("failure" if "error" in call else "pending"), None
    return ("success" if succeeded(best) else "failure"), best


def revisions(call: Json, ledger: list[Json]) -> int:
    """How often the verdict changes as the ledger grows, without its first change from pending."""
    verdicts = [decide(call, standing(ledger[:length]))[0] for length in range(len(ledger) + 1)]
    changes = sum(before != after for before, after in pairwise(verdicts))
    return changes - (verdicts[0] == "pending" and changes > 0)


def _rate_row(key: Row, counts: Counter[str]) -> Row:
    names = ("calls", "success", "failure", "expired", "pending", "cost_nano")
    return (*key, *(counts[name] for name in names))
