"""A suite beside production: weighed by strata that both have, and silent where nothing can be said."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.evaluation import emit
from flows.evaluation.emit import task_type_of
from flows.evaluation.weigh import limits, weigh_report, weigh_suite
from flows.evaluation.weigh_rows import NotEmittedError
from harness.ended import Ended, ended

START = datetime(2026, 11, 30)  # noqa: DTZ001 - as snapshots have times


class Snapshot:
    """Tables with what `eval weigh` reads."""

    def __init__(self) -> None:
        self.db = duckdb.connect()
        self.db.execute(
            "CREATE TABLE calls (call_id VARCHAR, attempt INTEGER, occurred_at TIMESTAMP, task_type VARCHAR,"
            " segment VARCHAR, attrs VARCHAR, tokens_in BIGINT, tool_calls BIGINT, verdict VARCHAR);"
            "CREATE TABLE tool_calls (call_id VARCHAR, call_occurred_at TIMESTAMP, position INTEGER, name VARCHAR);"
            "CREATE TABLE current_rates (task_type VARCHAR, task_design_effect DOUBLE)"
        )
        self._count = 0

    def add(self, task: str, verdicts: Iterable[str], *, tool: str | None = None, **fields: Any) -> None:
        for verdict in verdicts:
            self._count += 1
            at = START + timedelta(seconds=self._count)
            attrs = fields.get("attrs")
            if attrs is not None:
                attrs = json.dumps({"eval_case": f"case-{self._count}", **attrs})
            values = [f"c{self._count}", 0, at, task, fields.get("segment"), attrs, fields.get("tokens_in")]
            self.db.execute("INSERT INTO calls VALUES (?,?,?,?,?,?,?,?,?)", [*values, tool and 1, verdict])
            if tool:
                self.db.execute("INSERT INTO tool_calls VALUES (?,?,?,?)", [f"c{self._count}", at, 1, tool])

    def suite(self, verdicts: Iterable[str], run: str = "r1", **fields: Any) -> None:
        self.add("eval:refund", verdicts, attrs={"eval_run": run, "eval_attempt": 0}, **fields)

    def weighed(self, production: str | None = None) -> dict[str, Any]:
        return weigh_report(weigh_suite(self.db, "eval:refund", production))


def verdicts(good: int, bad: int, pending: int = 0) -> list[str]:
    return ["success"] * good + ["failure"] * bad + ["pending"] * pending


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot()


def test_a_polite_suite_is_named_with_its_points(snapshot: Snapshot) -> None:
    """40 easy rows and 10 hard ones; nine tenths of production are hard."""
    snapshot.suite(verdicts(40, 0), segment="easy")
    snapshot.suite(verdicts(19, 1), segment="hard")
    snapshot.add("refund", verdicts(95, 5), segment="easy")
    snapshot.add("refund", verdicts(540, 360), segment="hard")
    found = snapshot.weighed()
    assert found["state"] == "too_polite"
    assert found["suite"]["value"] == pytest.approx(0.1 + 0.9 * 0.95)
    assert found["production"]["value"] == pytest.approx(0.1 * 0.95 + 0.9 * 0.6)
    assert "this suite is too polite by 32 points" in found["words"]
    assert found["dimensions"] == ["segment"]
    assert {round(weight, 6) for weight in found["weights"].values()} == {0.15, 2.7}
    assert len(found["weights"]) == 60


def test_calls_that_have_no_verdict_yet_count_for_the_weight_and_not_for_the_rate(snapshot: Snapshot) -> None:
    snapshot.suite(verdicts(5, 5), segment="a")
    snapshot.suite(verdicts(10, 0), segment="b")
    snapshot.add("refund", verdicts(10, 10, 80), segment="a")
    snapshot.add("refund", verdicts(100, 0), segment="b")
    found = snapshot.weighed()
    assert found["suite"]["value"] == pytest.approx(0.75)
    assert found["production"]["value"] == pytest.approx(0.75)
    assert found["state"] == "cannot_tell"


def test_only_the_newest_run_and_its_first_attempts_count(snapshot: Snapshot) -> None:
    snapshot.suite(verdicts(0, 10), run="old")
    snapshot.suite(verdicts(10, 0), run="new")
    snapshot.add("eval:refund", verdicts(0, 3), attrs={"eval_run": "new", "eval_attempt": 1})
    snapshot.add("refund", verdicts(10, 0))
    found = snapshot.weighed()
    assert (found["run_id"], found["cases"], found["plain"]) == ("new", 10, 1.0)


def test_strata_by_length_and_tool_where_both_sides_have_them(snapshot: Snapshot) -> None:
    for tool in ("search", "crm"):
        for tokens in (10, 20, 30):
            snapshot.suite(verdicts(5, 0), tool=tool, tokens_in=tokens)
            snapshot.add("refund", verdicts(50, 50), tool=tool, tokens_in=tokens)
    found = snapshot.weighed()
    assert found["dimensions"] == ["segment", "length", "tool"]
    assert len(found["strata"]) == 6


@pytest.mark.parametrize(
    ("suite", "production", "left_out"),
    [
        ({}, {"segment": "b2b"}, "segment: no case has metadata.segment"),
        ({}, {"tokens_in": 5}, "length: tokens_in is absent from 100% of the suite's answers"),
        ({"tokens_in": 5}, {}, "length: tokens_in is absent from 100% of production's calls"),
        ({}, {}, "tool: no call reports tools"),
        ({"segment": "rare"}, {"segment": "b2b"}, "segment: the suite has too few cases in some of its values"),
    ],
)
def test_a_dimension_that_one_side_lacks_is_named_with_its_reason(
    snapshot: Snapshot, suite: dict[str, Any], production: dict[str, Any], left_out: str
) -> None:
    snapshot.suite(verdicts(8, 2), **suite)
    snapshot.add("refund", verdicts(80, 20), **production)
    found = weigh_suite(snapshot.db, "eval:refund", None)
    assert left_out in found.left_out
    assert f"Not weighed by {left_out}." in limits(found)


def test_tool_calls_of_which_only_failures_are_kept_make_no_stratum(snapshot: Snapshot) -> None:
    snapshot.suite(verdicts(8, 2), tool="search")
    snapshot.add("refund", verdicts(80, 20), tool="search")
    snapshot.db.execute("DELETE FROM tool_calls WHERE position = 1 AND call_id > 'c2'")
    assert any(reason.startswith("tool: the snapshot has only") for reason in snapshot.weighed()["left_out"])


def test_conversations_widen_the_interval_of_production(snapshot: Snapshot) -> None:
    snapshot.suite(verdicts(8, 2))
    snapshot.add("refund", verdicts(80, 20))
    plain = snapshot.weighed()["production"]
    snapshot.db.execute("INSERT INTO current_rates VALUES ('refund', 9.0), ('eval:refund', 50.0)")
    wide = snapshot.weighed()["production"]
    assert 2.5 < (wide["high"] - wide["low"]) / (plain["high"] - plain["low"]) < 3


def test_one_task_type_of_production_may_be_named(snapshot: Snapshot) -> None:
    snapshot.suite(verdicts(8, 2))
    snapshot.add("refund", verdicts(80, 20))
    snapshot.add("triage", verdicts(0, 100))
    assert snapshot.weighed("refund")["calls"] == 100
    assert snapshot.weighed()["calls"] == 200


@pytest.mark.parametrize(
    ("production", "words"),
    [([], "no calls of production"), (["pending"] * 9, "No stratum has both")],
)
def test_what_cannot_be_said_is_said(snapshot: Snapshot, production: list[str], words: str) -> None:
    snapshot.suite(verdicts(8, 2))
    snapshot.add("refund", production)
    found = snapshot.weighed()
    assert found["state"] == "cannot_say"
    assert words in found["words"]


def test_a_suite_that_was_not_emitted_is_refused_with_what_to_do(snapshot: Snapshot) -> None:
    snapshot.add("refund", verdicts(80, 20))
    with pytest.raises(NotEmittedError, match="run the suite with --emit"):
        snapshot.weighed()


AGENT = """
from aftercall.evals import tool
@tool
def search(question): return [question]
def answer(question):
    if question == "q9": raise ValueError(question)
    search(question)
    return {"output": "secret" if question != "q8" else "no", "model": "large", "tokens_in": 7}
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Ended]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "agent", raising=False)
    (tmp_path / "agent.py").write_text(AGENT)
    lines = [
        json.dumps({"id": f"c{at}", "input": f"q{at}", "expected": "secret", "metadata": {"segment": "b2b"}})
        for at in range(10)
    ]
    (tmp_path / "refund.jsonl").write_text("\n".join(lines) + "\n")
    for name in ("KAFKA", "URL", "FILE"):
        monkeypatch.delenv(f"AFTERCALL_{name}", raising=False)

    def of(*arguments: str) -> Ended:
        return ended(monkeypatch, capfd, *arguments)

    return of


EMITTED = ("eval", "run", "refund.jsonl", "--agent", "agent:answer", "--emit")


def test_each_answer_is_a_call_and_an_outcome_that_the_pipeline_takes(
    run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AFTERCALL_FILE", str(tmp_path / "emitted"))
    assert run(*EMITTED).code == 0
    files = [tmp_path / "emitted" / name for name in ("calls.jsonl", "outcomes.jsonl")]
    assert not any("secret" in file.read_text() or "q1" in file.read_text() for file in files)
    production = [
        {"call_id": f"p{at}", "occurred_at": f"2026-11-30T08:00:{at}Z", "task_type": "refund", "model": "large",
         "segment": "b2b", "error": None if at % 2 else "down"}
        for at in range(10, 60)
    ]  # fmt: skip
    (tmp_path / "calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in production))
    inputs = ("--calls", "calls.jsonl", str(files[0]), "--outcomes", str(files[1]))
    replayed = run("replay", *inputs, "--out", "out", "--json")
    counts = json.loads(replayed.out)
    assert (counts["calls"], counts["dead_letters"], counts["successes"], counts["failures"]) == (60, 0, 8, 27)
    with duckdb.connect(str(tmp_path / "out/outcomes.duckdb"), read_only=True) as db:
        rows = db.execute(
            "SELECT segment, model, tokens_in, tool_calls, verdict_source, count(*) FROM calls"
            " WHERE task_type = 'eval:refund' GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    assert rows == [("b2b", "agent", None, None, "call", 1), ("b2b", "large", 7, 1, "eval", 9)]
    weighed = run("eval", "weigh", "refund.jsonl", "--snapshot", "out")
    assert weighed.code == 0
    assert "50.0 % of production's calls have a verdict; how the others ended is not known." in weighed.out
    assert run("eval", "weigh", "other.jsonl", "--snapshot", "out").code == 1


def test_without_a_destination_nothing_is_asked(run: Callable[..., Ended], tmp_path: Path) -> None:
    ran = run(*EMITTED)
    assert ran.code == 2
    assert "--emit: needs a destination" in ran.err


def test_what_did_not_arrive_is_counted_and_ends_with_1(
    run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    monkeypatch.setenv("AFTERCALL_FILE", str(tmp_path / "taken"))
    monkeypatch.setattr(emit, "FLUSH_S", 0.2)
    ran = run(*EMITTED)
    assert ran.code == 1
    assert "of 19 calls and outcomes did not reach their destination" in ran.err


def test_a_data_set_names_its_task_type() -> None:
    assert task_type_of("a/b/refund.v2.jsonl") == "eval:refund"
    assert task_type_of(".jsonl") == "eval:suite"
