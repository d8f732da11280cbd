"""A run of a suite: resumed where it was, with one row per answer, and never with answers of another plan."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aftercall.contracts.syntax import contract_of
from aftercall.errors import UsageError
from aftercall.evals import EvalCase
from connectors.agents.python_agent import PythonAgent
from connectors.suites.runs_file import RunsFile
from flows.evaluation.asking import How
from flows.evaluation.plan import EvalPlan, scorer_of
from flows.evaluation.running import Evaluated, evaluate

CASES = [EvalCase(id=f"c{at}", input=f"{at}", expected=f"{at}") for at in range(6)]


class Interrupted(Exception):  # noqa: N818 - stands for a kill
    pass


class Counting:
    """An agent that counts its questions, and a run that is cut off after some answers."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def run(self, path: Path, plan: EvalPlan, *, cut_after: int = 1000, **more: Any) -> Evaluated | None:
        def answer(question: str) -> str:
            self.asked[question] += 1
            return question

        def report(done: int, total: int) -> None:
            if done >= cut_after:
                raise Interrupted

        agent = PythonAgent(plan.agent, answer)
        with RunsFile(path) as file:
            try:
                found = evaluate(plan, agent, scorer_of(plan), file, How(concurrency=1), report=report, **more)
            except Interrupted:
                return None
            file.end(found.run.run_id)
        return found


PLAN = EvalPlan("cases.jsonl", CASES, "m:f")


@pytest.mark.parametrize("cut", [1, 3, 6])
def test_a_run_that_was_cut_off_is_resumed_with_no_case_twice(tmp_path: Path, cut: int) -> None:
    agent, path = Counting(), tmp_path / "r.sqlite"
    assert agent.run(path, PLAN, cut_after=cut) is None
    found = agent.run(path, PLAN)
    assert found is not None
    assert (found.resumed, found.summary.total_cases, found.summary.pass_rate) == (cut, 6, 1.0)
    assert sorted(one.case_id for one in found.results) == [case.id for case in CASES]
    with RunsFile(path) as file:
        assert len(file.results(found.run.run_id)) == 6
        assert len(file.runs()) == 1
    # What was being asked when it was cut off may have been asked again.
    assert sum(agent.asked.values()) <= 7


def test_a_run_that_has_ended_is_not_resumed(tmp_path: Path) -> None:
    agent = Counting()
    assert agent.run(tmp_path / "r.sqlite", PLAN)
    found = agent.run(tmp_path / "r.sqlite", PLAN)
    assert found is not None
    assert (found.resumed, sum(agent.asked.values())) == (0, 12)


CONTRACT = contract_of({"contract": "c", "version": "1", "rule": [{"id": "a", "type": "latency", "max": 1e6}]}, "c")


@pytest.mark.parametrize(
    "other",
    [
        EvalPlan("cases.jsonl", [*CASES[:5], EvalCase(id="c5", input="5", expected="6")], "m:f"),
        EvalPlan("cases.jsonl", CASES, "m:g"),
        EvalPlan("cases.jsonl", CASES, "m:f", repeats=2),
        EvalPlan("cases.jsonl", CASES, "m:f", score="operator:eq"),
        EvalPlan("cases.jsonl", CASES, "m:f", [CONTRACT]),
    ],
    ids=["cases", "agent", "repeats", "score", "contract"],
)
def test_another_plan_begins_its_own_run(tmp_path: Path, other: EvalPlan) -> None:
    agent, path = Counting(), tmp_path / "r.sqlite"
    agent.run(path, PLAN, cut_after=2)
    found = agent.run(path, other)
    assert found is not None
    assert (found.resumed, found.summary.answers) == (0, other.answers)


def test_new_begins_from_the_first_case_and_so_does_another_kind_of_run(tmp_path: Path) -> None:
    agent, path = Counting(), tmp_path / "r.sqlite"
    agent.run(path, PLAN, cut_after=2)
    for more in ({"again": True}, {"recorded": True}):
        found = agent.run(path, PLAN, **more)
        assert found is not None
        assert found.resumed == 0
    resumed = agent.run(path, PLAN)
    assert resumed is not None
    assert resumed.resumed == 2


def test_with_repeats_all_cases_are_asked_once_and_then_again(tmp_path: Path) -> None:
    found = Counting().run(tmp_path / "r.sqlite", EvalPlan("cases.jsonl", CASES, "m:f", repeats=3))
    assert found is not None
    assert [one.repeat for one in found.results] == [0] * 6 + [1] * 6 + [2] * 6
    assert (found.summary.total_cases, found.summary.answers) == (6, 18)


def test_too_many_answers_are_refused_before_any(tmp_path: Path) -> None:
    agent = Counting()
    with pytest.raises(UsageError, match=r"^--repeat: cases times repeats must be at most"):
        agent.run(tmp_path / "r.sqlite", EvalPlan("cases.jsonl", CASES, "m:f", repeats=10_000_000))
    assert not agent.asked
