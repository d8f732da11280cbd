"""A hash in `config` or `task_type` ends in `__other__`; a busy one that comes later takes the place of one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from system.commands import aftercall, call, counts, lines, minute, outcome, table
from system.runs import sums_that_fail

pytestmark = pytest.mark.slow  # each starts processes

IDS, BUSY, CAP = 400, 40_000, 20


@pytest.mark.parametrize(
    ("name", "cap", "workers"),
    [("config", "MAX_GROUPS_PER_TASK", 1), ("task_type", "MAX_TASK_TYPES", 1), ("task_type", "MAX_TASK_TYPES", 2)],
)
def test_busy_names_are_named_within_a_day_and_a_call_counts_with_one_group(
    name: str, cap: str, workers: int, tmp_path: Path
) -> None:
    """A call each six seconds, an outcome of each 100 minutes later, so also across the change of places."""
    numbers, names = range(IDS + BUSY), [f"request-{n}" if n < IDS else f"zz-busy-{n % 3}" for n in range(IDS + BUSY)]
    calls = [call(n, occurred_at=minute(n / 10), **{name: names[n]}) for n in numbers]
    outcomes = [outcome(n, outcome_id=f"{n}", occurred_at=minute(n / 10 + 100)) for n in numbers]
    (tmp_path / "calls.jsonl").write_bytes(lines(calls))
    (tmp_path / "outcomes.jsonl").write_bytes(lines(outcomes))
    files = ("--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl", "--out", "out")
    arguments = ("replay", *files, "--workers", f"{workers}", "--json")
    found = counts(aftercall(tmp_path, *arguments, **{f"AFTERCALL_JOIN__{cap}": f"{CAP}"}))
    assert (found["calls"], found["dead_letters"]) == (IDS + BUSY, 0)
    out = tmp_path / "out"
    assert sums_that_fail(out) == []
    named = dict(table(out, f"SELECT {name}, sum(calls)::INT FROM rates WHERE grain = '1d' GROUP BY ALL"))
    assert {f"zz-busy-{n}" for n in range(3)} < named.keys()
    hours = table(out, f"SELECT count(DISTINCT window_start) FROM rates WHERE grain = '1h' AND {name} = '__other__'")
    assert hours < [(24,)], "named within a day"
    assert sum(named.values()) == IDS + BUSY
    assert named["__other__"] > IDS - CAP - 1
    assert len(named) == CAP + 3 + 1, "those whose places were taken keep their history"
    open_calls = table(out, "SELECT config, calls, resolved FROM rates WHERE grain = '1h' AND calls <> resolved")
    assert open_calls == [], "every call has its outcome in the group and hour where it is counted"
    ((reason, evidence),) = table(out, "SELECT reason, evidence FROM alerts WHERE kind = 'group_cap'")
    assert f"more than {CAP} " in reason
    assert f"raise join.{cap.lower()}" in reason
    assert json.loads(evidence)["example"][name] in reason
    verdicts = [json.loads(line)[name] for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert "__other__" not in verdicts
    arms = table(out, f"SELECT DISTINCT {name} FROM recommendations")
    assert {f"zz-busy-{n}" for n in range(3)} <= {arm for (arm,) in arms}
    assert ("__other__",) not in arms


def test_beyond_the_cap_new_groups_are_counted_together(tmp_path: Path) -> None:
    """Who comes first is a matter of the order of arrival; that the cap and all sums hold is not."""
    known = [call(n, model=f"m-{n % 2}") for n in range(200)]
    later = [call(n, model=f"id-{n}", task_type="summarise" if n % 2 else f"task-{n}") for n in range(3_000, 3_100)]
    (tmp_path / "calls.jsonl").write_bytes(lines([*known, *later]))
    outcomes = [outcome(n, outcome_id=str(n)) for n in (*range(200), *range(3_000, 3_100))]
    (tmp_path / "outcomes.jsonl").write_bytes(lines(outcomes))
    arguments = ("replay", "--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl", "--out", "out", "--json")
    found = counts(aftercall(tmp_path, *arguments, AFTERCALL_JOIN__MAX_GROUPS="2"))
    out = tmp_path / "out"
    assert (found["calls"], found["dead_letters"]) == (300, 0)
    assert sums_that_fail(out) == []
    groups = table(out, "SELECT task_type, model, config, sum(calls)::INT FROM rates WHERE grain = '1d' GROUP BY ALL")
    assert sorted(groups) == [
        ("__other__", "__other__", "__other__", 50),
        ("summarise", "__other__", "__other__", 50),
        ("summarise", "m-0", "default", 100),
        ("summarise", "m-1", "default", 100),
    ]
    names = table(out, "SELECT count(DISTINCT task_type), count(DISTINCT model) FROM calls")
    assert names == [(51, 102)]
    verdicts = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert {verdict["model"] for verdict in verdicts} >= {"id-3001", "m-0"}
    assert "__other__" not in {verdict["model"] for verdict in verdicts}
    alerts = table(out, "SELECT kind, task_type, reason FROM alerts WHERE kind = 'group_cap'")
    assert len(alerts) == 1
    assert "more than 2 groups" in alerts[0][2]
    arms = table(out, "SELECT DISTINCT task_type, model FROM recommendations")
    assert ("summarise", "m-1") in arms
    assert all("__other__" not in arm for arm in arms)
