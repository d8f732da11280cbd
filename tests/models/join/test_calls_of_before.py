"""Calls that a state of before brought: nothing is known of what their records had; they are judged as then."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from models.join import Join
from models.join.held_calls import fold_digest
from oracle.direct import Direct, decoder_of, join_rules
from oracle.histories import History
from oracle.order import File
from oracle.records import Rules

RULES = Rules()
_COLUMNS = {"at", "group", "minute", "verdict", "rules", "digest", "single", "ids"}
CALL: dict[str, Any] = {"call_id": "c", "occurred_at": "2026-01-01T00:00:00Z", "task_type": "t", "model": "m"}
VOTE = {"outcome_id": "o", "call_id": "c", "occurred_at": "2026-01-01T00:01:00Z", "source": "judge", "success": True}


def of_before(first: dict[str, Any]) -> Direct:
    """A run that holds one call, as version 5 has stored it."""
    direct = Direct(join_rules(RULES))
    line = json.dumps(first).encode()
    direct.run(History(RULES, (File("calls", (line,)),)), [], [])
    one = np.zeros(1, np.int64)
    calls = decoder_of(RULES).decode([line], np.zeros(1, np.uint8), one.astype(np.int32), one, ["calls"]).calls
    for shard, join in direct.joins.items():
        state = join.state()
        held = state["held"]
        kept = {name: column for name, column in held["calls"].items() if name in _COLUMNS}
        if len(held["keys"]):
            kept["digest"] = fold_digest(calls.digest).astype(np.uint32)
        cases = {at: case[:3] for at, case in held["cases"].items()}
        old = state | {"held": held | {"calls": kept, "cases": cases}}
        direct.joins[shard] = Join.from_state(Join.MIGRATIONS[5](old), direct.rules)
    return direct


@pytest.mark.parametrize(
    ("second", "counted"),
    [
        ({}, "duplicates"),
        ({"latency_ms": 5, "session_id": "s", "attempts": [{"model": "n", "error": "e"}]}, "duplicates"),
        ({"error": "timeout"}, "conflicts"),
        ({"model": "n"}, "conflicts"),
        ({"segment": "s"}, "conflicts"),
        ({"occurred_at": "2026-01-01T00:00:01Z"}, "conflicts"),
    ],
)
@pytest.mark.parametrize("error", [None, "refused"])
def test_it_is_judged_by_the_fields_that_decided_then(second: dict[str, Any], counted: str, error: str | None) -> None:
    first = {**CALL, "error": error}
    direct = of_before(first)
    direct.run(History(RULES, (File("calls", (json.dumps({**first, **second}).encode(),)),)), [], [])
    counts = {name: direct.tally[name] for name in ("completed", "attempts", "duplicates", "conflicts")}
    assert counts == {"completed": 0, "attempts": 0, "duplicates": 0, "conflicts": 0, counted: 1}


def test_it_takes_outcomes_as_any_other_call_and_its_error_counts_from_its_own_minute() -> None:
    direct = of_before({**CALL, "error": "refused"})
    later = json.dumps({**CALL, "call_id": "d", "occurred_at": "2026-01-01T01:00:00Z"}).encode()
    files = File("outcomes", (json.dumps(VOTE).encode(),)), File("calls", (later,))
    direct.run(History(RULES, files), [1], [True])
    assert direct.newest["c"]["verdict"] == "success"
    (row,) = [row for key, row in direct.verdicts.items() if key[0] == "c"]
    assert row[-2:] == (1, 1)
    assert [at for _, at, _ in direct.responses["errors"]] == [29_453_760]
