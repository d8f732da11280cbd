"""What a guard finds at the producer is what the pipeline writes down, though it sees no text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aftercall import Client
from harness.guarding import POLITE, SHORT, code, guarding, written
from harness.waiting import HANG_S
from system.commands import aftercall, table

pytestmark = pytest.mark.slow
RULES: list[dict[str, Any]] = [
    SHORT,
    POLITE,
    {"id": "json", "type": "format", "as": "json", "when": {"attrs.tier": "gold"}},
    {"id": "fast", "type": "latency", "max": 600_000},
    {"id": "tools", "type": "required_tools", "tools": ["search"]},
    code("has_order"),
    code("raises"),
]
ANSWERS = ["order", "you fool of an order", "{}", "", "order order order order"]


@pytest.mark.parametrize("capture", ["usage", "text"])
def test_the_checks_of_a_guard_are_those_of_the_snapshot(tmp_path: Path, capture: str) -> None:
    (tmp_path / "contracts").mkdir()
    contract = written(tmp_path / "contracts", *RULES)
    (tmp_path / "aftercall.toml").write_text('[snapshot]\nchecks = "all"\n')
    client = Client(file=tmp_path / "events", spool=None, capture=capture)  # type: ignore[arg-type]
    wanted = set()
    with guarding(contract, client=client) as guard:
        for number, answer in enumerate(ANSWERS):
            tier = {"attrs": {"tier": "gold"}} if number % 2 else {}
            result = guard.call("x", lambda text, answer=answer: answer, **tier)  # type: ignore[arg-type]
            for check in result.verification.result(HANG_S).checks:
                wanted.add((result.call_id, check.rule, check.severity, check.result))
        assert client.flush(HANG_S)
    assert {one[3] for one in wanted} == {"pass", "fail", "not_applicable", "error"}
    done = aftercall(tmp_path, "replay", "--calls", "events/calls.jsonl", "--config", "aftercall.toml", "--out", "out")
    assert done.returncode == 0, done.stderr
    found = table(tmp_path / "out", "SELECT call_id, rule, severity, result FROM checks")
    assert len(found) == len(wanted) == len(RULES) * len(ANSWERS)
    assert set(found) == wanted
    verdicts = dict(table(tmp_path / "out", "SELECT call_id, verdict_source FROM calls WHERE verdict = 'failure'"))
    assert verdicts == {one[0]: "contract" for one in wanted if one[1:] == ("polite", "critical", "fail")}
