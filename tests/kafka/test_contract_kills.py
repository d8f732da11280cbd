"""A service with contracts that is killed leaves what a replay of the same records leaves, which nothing disturbed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from kafka.service import Pipeline, rfc3339
from system.commands import aftercall

pytestmark = [pytest.mark.slow, pytest.mark.kafka]
CALLS: Final = 90
LATER_S: Final = 3600
RULES: Final = """
[[rule]]
id = "fast"
type = "latency"
max = 500
severity = "critical"

[[rule]]
id = "tools"
type = "tool_failure_handled"
severity = "critical"

[[rule]]
id = "talk"
type = "session_budget"
calls = 3
severity = "major"
alert = "each"
"""
TABLES: Final = ("calls", "statements", "checks", "check_rates", "contracts")
ALERTS: Final = """
    SELECT alert_id, metric, state, opened_at, updated_at, current, reason, evidence FROM alerts
    WHERE kind = 'contract' ORDER BY ALL
"""
LEAVE: Final = {"check_rates": "WHERE grain <> 'now'"}


def contracts(folder: Path, second_from: float) -> None:
    """Two versions, of which the second judges from then on."""
    folder.mkdir(parents=True)
    first = f'contract = "t"\nversion = "1"\n{RULES}'
    later = rfc3339(second_from)
    second = f'contract = "t"\nversion = "2"\neffective_from = "{later}"\n{RULES.replace("500", "300")}'
    (folder / "t-1.toml").write_text(first)
    (folder / "t-2.toml").write_text(second)


def records(began: float) -> dict[str, list[dict[str, Any]]]:
    """Calls of sessions, some in two records or twice; outcomes, some of which override a violation or withdraw it.

    One more is an hour later, when all sessions have ended, and the last another, which closes the minute of their end.
    """
    calls, outcomes = list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(CALLS):
        at, name = began + number, f"c{number}"
        call = {"call_id": name, "occurred_at": rfc3339(at), "task_type": "t", "model": f"m{number % 2}"}
        call |= {"session_id": f"s{number // 5}"}
        measured = {"latency_ms": 200 + 100 * (number % 5)}
        failed = {"tool_calls": [{"name": "search", "ok": number % 7 > 0}]}
        if number % 6 == 0:
            calls += [call, call | measured | failed, call | measured | failed]
        else:
            calls.append(call | measured | (failed if number % 2 else {}))
        said = {"call_id": name, "occurred_at": rfc3339(at + 5), "outcome_id": f"o{number}"}
        if number % 4 == 0:
            outcomes.append(said | {"source": "user_feedback", "success": number % 8 == 0})
        if number % 9 == 0:
            outcomes.append(said | {"source": "contract", "action": "retract", "outcome_id": f"r{number}"})
    for name, at in ("ends", began + LATER_S), ("closes", began + 2 * LATER_S):
        last = {"call_id": name, "occurred_at": rfc3339(at)}
        calls.append(last | {"task_type": "other", "model": "m"})
        outcomes.append(last | {"outcome_id": name, "source": "user_feedback", "success": True})
    return {"calls": calls, "outcomes": outcomes}


def rows(file: Path) -> dict[str, list[Any]]:
    asked = {name: f"SELECT * FROM {name} {LEAVE.get(name, '')} ORDER BY ALL" for name in TABLES} | {"alerts": ALERTS}
    with duckdb.connect(str(file.resolve()), read_only=True) as snapshot:
        return {name: snapshot.execute(query).fetchall() for name, query in asked.items()}


def test_a_killed_service_leaves_what_an_undisturbed_replay_leaves(pipeline: Callable[..., Pipeline]) -> None:
    # No partition counts as idle: nothing is late, however slowly this machine reads.
    made = pipeline(partitions=1, lanes=1, idle_after="1h")
    made.settings |= {"recovery": {"epoch": "1s"}, "snapshot": {"every": "1s"}}
    began = time.time() - 3 * LATER_S
    contracts(made.folder / "contracts", began + CALLS / 2)
    sent = records(began)
    total = sum(map(len, sent.values()))
    for half in range(2):
        for name, of_kind in sent.items():
            part = of_kind[half * len(of_kind) // 2 : (half + 1) * len(of_kind) // 2]
            for record in part:
                made.cluster.send(made.topics[name], 0, record["call_id"], json.dumps(record))
        made.cluster.flush()
        running = made.start()
        running.until(lambda half=half: made.row().get("records", 0) >= (total // 2 - 2, total)[half])  # type: ignore[misc] # a default binds it
        running.stop() if half else running.kill()
    files: list[str | Path] = []
    for name, of_kind in sent.items():
        files += [f"--{name}", made.folder / f"{name}.jsonl"]
        (made.folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in of_kind))
    done = aftercall(made.folder, "replay", *files, "--out", made.folder / "replayed")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found, expected = rows(made.out / "outcomes.duckdb"), rows(made.folder / "replayed" / "outcomes.duckdb")
    for name in (*TABLES, "alerts"):
        assert found[name] == expected[name], name
    assert {row[1] for row in found["contracts"]} == {"1", "2"}
    assert {row[7] for row in found["checks"]} == {"fast", "tools", "talk"}
    talks = [row for row in found["checks"] if row[7] == "talk"]
    assert len(talks) == 2 * CALLS / 5, "the last two of the five calls of each session"
    assert {row[1] for row in found["alerts"]} >= {"t.talk", "t.fast"}
    own = [row for row in found["statements"] if str(row[1]).startswith("contract:")]
    assert len(own) > CALLS / 4
    assert {row[11] for row in own} == {True, False}, "some are withdrawn"
