"""A service whose contracts fail on every text, killed twice, leaves no byte of one in any topic, file, row or log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from harness.planted import RULES, TEXT_TOKENS, failing_contract, planted
from kafka.service import Pipeline, rfc3339

CALLS = 60


def _send(made: Pipeline, numbers: range) -> None:
    """Calls; some come twice, with other contents, or are refused, and all have texts."""
    at = time.time() - 600
    for number in numbers:
        call = {"call_id": f"t{number}", "occurred_at": rfc3339(at), "task_type": "t", "model": "m", "attrs": {"n": 1}}
        records = [planted(call)]
        if number % 10 == 0:
            records += [planted(call), planted(call | {"model": "another"}), planted(call | {"cost_usd": -1})]
        for record in records:
            made.cluster.send(made.topics["calls"], number % made.partitions, f"t{number}", json.dumps(record))
    made.cluster.flush()


@pytest.mark.slow
def test_no_byte_of_a_text_leaves_a_service_that_is_killed_twice(pipeline: Callable[..., Pipeline]) -> None:
    made = pipeline()
    failing_contract(made.folder / "contracts")
    made.topics |= made.cluster.fresh_topics(made.partitions, ("checks",))
    made.settings |= {"kafka.topics": made.topics, "contracts": {"publish": True}}
    made.settings |= {"recovery": {"epoch": "1s"}, "snapshot": {"every": "1s"}}
    for times in range(3):
        numbers = range(times * CALLS // 3, (times + 1) * CALLS // 3)
        _send(made, numbers)
        running = made.start()
        running.until(lambda count=numbers.stop: made.row().get("calls", 0) == count)  # type: ignore[misc] # a default binds it
        running.stop() if times == 2 else running.kill()
    found = made.table("SELECT rule, result, count(*) AS calls FROM checks GROUP BY ALL ORDER BY ALL")
    assert found == [{"rule": rule["id"], "result": "fail", "calls": CALLS} for rule in RULES]
    written = {str(path): path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    written |= {
        name: b"\n".join((one.key or b"") + b" " + (one.value or b"") for one in made.cluster.read_all(topic))
        for name, topic in made.topics.items()
        if name in {"verdicts", "recommendations", "trust", "alerts", "checks", "dead_letters"}
    }
    tables = [row["table_name"] for row in made.table("SELECT table_name FROM duckdb_tables()")]
    rows = {f"table {name}": repr(made.table(f"SELECT * FROM {name}")).encode() for name in tables}
    assert len(written) > 10
    assert b"planted@1" in written["verdicts"]
    assert written["dead_letters"]
    published = [json.loads(one.value or b"") for one in made.cluster.read_all(made.topics["checks"])]
    violations = {(one["call_id"], one["rule"]): one["event_id"] for one in published}
    assert {one["event_id"] for one in published} == set(violations.values()), "a kill repeats records, and makes none"
    assert violations.keys() == {(f"t{number}", rule["id"]) for number in range(CALLS) for rule in RULES}
    for token in TEXT_TOKENS:
        holding = [name for name, content in {**written, **rows}.items() if token.encode() in content]
        assert holding == [], (token, holding)
    assert {row["error"] for row in made.table("SELECT error FROM tool_calls")} == {"NotFound"}
    assert not any(token in running.printed() for token in TEXT_TOKENS for running in made.started)
