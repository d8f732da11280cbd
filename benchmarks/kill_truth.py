"""What must come out of records as they were written: each call is judged from scratch, without the pipeline.

Contract sections 1, 2 and 4 for a history in which nothing is late or orphaned by arrival, so that neither the order
between partitions nor the watermark on the way decides anything.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

from aftercall.times import parse_time
from benchmarks.kill_traffic import HORIZON_US, LATENESS_US, Kind, Sent

Row = tuple[Any, ...]
Json = dict[str, Any]
GRAINS: Final = {"1h": 3_600_000_000, "1d": 86_400_000_000}
PRECEDENCE: Final = ("human_review", "ticket_reopened", "downstream", "user_feedback", "contract", "judge")
PASS_AT: Final = 0.7
_OF_CALL: Final = ("occurred_at", "task_type", "model", "config", "segment", "error")
_OF_OUTCOME: Final = ("occurred_at", "source", "success", "score", "action", "retracts")
_SPOKEN: Final = ("task_type", "model", "config", "segment", "session_id", "latency_ms", "cost_usd")


class Truth:
    """The expected rows of every table, in the columns of `kill_compare.TRUE`; times in µs.

    Attributes:
        calls, statements, rates, dead_letters, verdicts: one tuple per row.
        counters: of the table `pipeline`.
        watermark: the newest event time of all.
    """

    def __init__(self, sent: Iterable[Sent], topics: Mapping[Kind, str]) -> None:
        """Read the records as they lie in their partitions.

        Args:
            sent: in the order in which they were written.
            topics: of each kind, its topic's name.
        """
        self._spoken: dict[str, Json] = {}
        self._said: dict[str, dict[str, Json]] = {}
        self._topics, self._offsets = topics, Counter[tuple[str, int]]()
        self.dead_letters: list[Row] = []
        self.counters = Counter[str]()
        self.watermark = 0
        for record in sent:
            self._read(record)
        self.calls: list[Row] = []
        self.statements: list[Row] = []
        self.verdicts: list[Row] = []
        self._windows: dict[Row, Counter[str]] = {}
        for call_id, call in self._spoken.items():
            self._judge(call, ordered(self._said.pop(call_id, {}).values()))
        self.rates = [_rate_row(key, counts) for key, counts in self._windows.items()]
        self.counters["waiting"] = sum(map(len, self._said.values()))
        self.counters["outcomes"] = len(self.statements)
        self.counters["dead_letters"] = len(self.dead_letters)

    def _read(self, record: Sent) -> None:
        offset = self._offsets[record.kind, record.partition]
        self._offsets[record.kind, record.partition] += 1
        self.counters["records"] += 1
        try:
            told = json.loads(record.value)
            at = parse_time(told["occurred_at"])
        except (ValueError, TypeError, KeyError):
            self._refuse(record, offset, None)
            return
        told |= {"at": at}
        self.watermark = max(self.watermark, at)
        if record.kind == "calls":
            told.setdefault("config", "default")
            owner, deciding = self._spoken.setdefault(told["call_id"], told), _OF_CALL
        else:
            told.setdefault("action", "assert")
            call = self._spoken.get(told["call_id"])
            if call is not None and at > call["at"] + HORIZON_US:
                self._refuse(record, offset, "late")
                return
            owner = self._said.setdefault(told["call_id"], {}).setdefault(told["outcome_id"], told)
            deciding = _OF_OUTCOME
        if owner is told:
            return
        if all(owner.get(name) == told.get(name) for name in deciding):
            self.counters["duplicates"] += 1
        else:
            self._refuse(record, offset, "conflict")

    def _refuse(self, record: Sent, offset: int, reason: str | None) -> None:
        """A dead letter; `reason` None: the record cannot be read, and the slug says how."""
        self.counters["conflicts"] += reason == "conflict"
        self.counters["late"] += reason == "late"
        digest = hashlib.sha256(record.value).hexdigest()
        self.dead_letters.append((reason, self._topics[record.kind], record.partition, offset, digest))

    def _judge(self, call: Json, ledger: list[Json]) -> None:
        stands = standing(ledger)
        verdict, best = decide(call, stands)
        closed = self.watermark > call["at"] + HORIZON_US + LATENESS_US
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
            call["call_id"], call["at"], *(call.get(name) for name in _SPOKEN), tokens, call.get("error"), attrs,
            verdict, score, source, decided_at, len(ledger), revisions(call, ledger),
        ))  # fmt: skip
        kept = {id(one) for one in stands.values()}
        self.statements += [
            (
                one["call_id"], one["outcome_id"], one["source"], one["at"], one["action"],
                succeeded(one) if one["action"] == "assert" else None, one.get("score"), one.get("reason"),
                id(one) in kept,
            )
            for one in ledger
        ]  # fmt: skip
        self.counters[{"success": "successes", "failure": "failures"}.get(verdict, verdict)] += 1
        self.counters["calls"] += 1
        if ledger or by_closing or "error" in call:
            age_s = None if decided_at is None else (decided_at - call["at"]) / 1e6
            self.verdicts.append((
                call["call_id"], len(ledger) + by_closing, call["task_type"], call["model"], call["config"], verdict,
                score, source, outcome_id, reason, decided_at, age_s,
            ))  # fmt: skip
        for grain, length in GRAINS.items():
            key = (call["task_type"], call["model"], call["config"], grain, call["at"] // length * length)
            counts = self._windows.setdefault(key, Counter())
            counts["calls"] += 1
            counts[verdict] += 1
            counts["cost_nano"] += round(call.get("cost_usd", 0.0) * 1e9)


def ordered(statements: Iterable[Json]) -> list[Json]:
    """A ledger in its order."""
    return sorted(statements, key=lambda one: (one["at"], one["outcome_id"]))


def succeeded(statement: Json) -> bool:
    """Whether a statement asserts success."""
    return bool(statement["success"] if "success" in statement else statement["score"] >= PASS_AT)


def standing(ledger: list[Json]) -> dict[str, Json]:
    """Per source the newest statement that is not withdrawn."""
    retractions = [one for one in ledger if one["action"] == "retract"]

    def withdrawn(statement: Json) -> bool:
        return any(
            one["retracts"] == statement["outcome_id"]
            if "retracts" in one
            else one["source"] == statement["source"] and statement["at"] <= one["at"]
            for one in retractions
        )

    return {one["source"]: one for one in ledger if one["action"] == "assert" and not withdrawn(one)}


def decide(call: Json, stands: dict[str, Json]) -> tuple[str, Json | None]:
    """The verdict on a call that is held, and the statement it rests on."""
    listed = [stands[source] for source in PRECEDENCE if source in stands]
    best = listed[0] if listed else ordered(stands.values())[-1] if stands else None
    if best is None:
        return ("failure" if "error" in call else "pending"), None
    return ("success" if succeeded(best) else "failure"), best


def revisions(call: Json, ledger: list[Json]) -> int:
    """How often the verdict changes as the ledger is read, its first departure from pending left out."""
    read = [decide(call, standing(ledger[:length]))[0] for length in range(len(ledger) + 1)]
    changes = sum(before != after for before, after in pairwise(read))
    return changes - (read[0] == "pending" and changes > 0)


def _rate_row(key: Row, counts: Counter[str]) -> Row:
    names = ("calls", "success", "failure", "expired", "pending", "cost_nano")
    return (*key, *(counts[name] for name in names))
