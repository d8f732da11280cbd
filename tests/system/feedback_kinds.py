"""Calls with the four kinds of feedback of docs/peers.md, as files for `aftercall replay`.

The plan is the one of the measurement of TensorZero, call by call: 100 calls of each kind, of which 60 succeed, 20
fail and 20 are disturbed, a call every 5 minutes, in an order that was shuffled once.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from system.runs import History

KINDS = ("reopened", "duplicated", "retracted", "out-of-order")
SUCCEEDS, FAILS, DISTURBED = 60, 20, 20
SEED = 2
"""Of the order, as the measurement had it."""
EVERY = timedelta(minutes=5)
EARLY = "before-its-call"
"""The kind of calls whose feedback lies in the files long before them."""
EARLY_CALLS = 3
_START = datetime(2026, 11, 1, tzinfo=UTC)


def write(folder: Path) -> History:
    """The two files; outcomes are lines in the order in which they arrive."""
    calls: list[dict[str, Any]] = []
    outcomes: list[dict[str, Any]] = []
    plan = [(kind, what) for kind in KINDS for what in ["s"] * SUCCEEDS + ["f"] * FAILS + ["x"] * DISTURBED]
    random.Random(SEED).shuffle(plan)
    for number, (kind, what) in enumerate(plan):
        at = _START + number * EVERY
        calls.append(_call(f"{kind}-{number}", at, kind))
        said = [_said(calls[-1], 1, success=what == "s")] if what in "sf" else _disturbed(calls[-1], kind)
        outcomes += said
    for number in range(EARLY_CALLS):
        at = _START + number * EVERY
        calls.append(_call(f"{EARLY}-{number}", at, EARLY))
        outcomes.insert(0, _said(calls[-1], 1, success=True) | {"occurred_at": _text(at - timedelta(minutes=1))})
    calls.sort(key=lambda call: str(call["occurred_at"]))
    made = History(folder / "calls.jsonl", folder / "outcomes.jsonl")
    for path, records in zip(made, (calls, outcomes), strict=True):
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return made


def _disturbed(call: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """What is said about a call that went wrong, but for the retracted ones, of which nothing is known in the end."""
    if kind == "reopened":
        return [_said(call, 1, success=True), _said(call, 3, success=False, source="ticket_reopened")]
    if kind == "duplicated":
        return [_said(call, 1, success=False)] * 2
    if kind == "retracted":
        taken_back = {name: value for name, value in _said(call, 2, success=False).items() if name != "success"}
        return [_said(call, 1, success=False), taken_back | {"action": "retract", "retracts": f"{call['call_id']}-1"}]
    return [_said(call, 3, success=False), _said(call, 1, success=True)]  # the newer statement arrives first


def _call(call_id: str, at: datetime, kind: str) -> dict[str, Any]:
    return {"call_id": call_id, "occurred_at": _text(at), "task_type": "kinds", "model": kind}


def _said(call: dict[str, Any], hours: int, *, success: bool, source: str = "user_feedback") -> dict[str, Any]:
    at = datetime.fromisoformat(call["occurred_at"]) + timedelta(hours=hours)
    named = {"outcome_id": f"{call['call_id']}-{hours}", "call_id": call["call_id"], "occurred_at": _text(at)}
    return named | {"source": source, "success": success}


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
