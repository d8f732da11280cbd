"""Many cases at once: each has one result, whatever the agent does, and none waits for another."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aftercall.evals import EvalCase, Scorer
from aftercall.evals.functions import FunctionScore
from aftercall.evals.results import CaseResult
from connectors.agents.python_agent import PythonAgent
from flows.evaluation import asking
from flows.evaluation.asking import STUCK, Ask, How, ask_all

CASES = [EvalCase(id=f"c{at}", input=f"{at}", expected=f"{at}") for at in range(40)]
LONG_S = 60.0


def results(
    function: Callable[[str], Any], tasks: list[Ask] | None = None, scorer: Scorer | None = None, **how: Any
) -> dict[tuple[str, int, int], CaseResult]:
    agent = PythonAgent("m:f", function)
    tasks = [Ask(case) for case in CASES] if tasks is None else tasks
    found = list(ask_all(agent, scorer or Scorer(), tasks, How(**{"timeout_s": LONG_S, **how})))
    agent.close()
    by_task = {(one.case_id, one.repeat, one.attempt): one for one in found}
    assert len(by_task) == len(found) == len(tasks)
    return by_task


@pytest.mark.parametrize("concurrency", [1, 3, 100])
def test_every_task_has_one_result(concurrency: int) -> None:
    tasks = [Ask(case, repeat, repeat) for repeat in range(2) for case in CASES]
    assert all(one.passed for one in results(str, tasks, concurrency=concurrency).values())


def test_no_task_no_result() -> None:
    assert results(str, []) == {}


def test_as_many_are_asked_at_once_as_it_says_and_no_more() -> None:
    at_once, most, lock, all_in = 0, 0, threading.Lock(), threading.Barrier(4)

    def agent(question: str) -> str:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        all_in.wait(LONG_S)  # passes only where four are in at once
        with lock:
            at_once -= 1
        return question

    assert all(one.passed for one in results(agent, concurrency=4).values())
    assert most == 4


def test_tasks_are_read_as_they_are_needed() -> None:
    read = []

    def tasks() -> Iterator[Ask]:
        for case in CASES:
            read.append(case)
            yield Ask(case)

    asked = ask_all(PythonAgent("m:f", str), Scorer(), tasks(), How(concurrency=2))
    next(asked)
    assert len(read) < 6
    asked.close()  # type: ignore[attr-defined]  # it is a generator


def test_a_rate_spaces_questions_out() -> None:
    times: list[float] = []

    def agent(question: str) -> str:
        times.append(time.monotonic())
        return question

    results(agent, rate_per_s=200.0)
    gaps = [later - earlier for earlier, later in zip(sorted(times), sorted(times)[1:], strict=False)]
    assert sum(gaps) >= 39 / 200 * 0.9


def test_an_agent_that_does_not_return_fails_its_case_and_keeps_no_other_waiting() -> None:
    ended = threading.Event()

    def agent(question: str) -> str:
        return str(ended.wait(LONG_S)) if question in {"0", "1"} else question

    found = results(agent, concurrency=2, timeout_s=0.1)
    ended.set()
    stuck = [found[f"c{at}", 0, 0] for at in (0, 1)]
    assert [(one.score, one.error) for one in stuck] == [(0.0, "took more than 0.1 s")] * 2
    assert sum(one.passed for one in found.values()) == 38


def test_too_many_agents_that_do_not_return_end_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_LEFT", 3)
    ended = threading.Event()
    found = results(lambda _: str(ended.wait(LONG_S)), concurrency=3, timeout_s=0.05)
    ended.set()
    errors = [one.error for one in found.values()]
    assert errors.count(STUCK) == 37
    assert errors.count("took more than 0.05 s") == 3


def test_exceptions_are_named_and_quoted_only_where_texts_are_kept() -> None:
    def agent(question: str) -> str:
        raise ValueError(f"cannot read {question}")

    plain = results(agent, [Ask(CASES[0])])["c0", 0, 0]
    assert (plain.score, plain.error, plain.answer) == (0.0, "the agent raised ValueError", None)
    kept = results(agent, [Ask(CASES[0])], texts=True)["c0", 0, 0]
    assert kept.error == "the agent raised ValueError: cannot read 0"


def test_sys_exit_in_an_agent_fails_its_case_alone() -> None:
    def agent(question: str) -> str:
        return sys.exit(3) if question == "7" else question

    found = results(agent)
    assert found["c7", 0, 0].error == "the agent raised SystemExit"
    assert sum(one.passed for one in found.values()) == 39


def test_answers_stay_with_their_results_only_where_texts_are_kept() -> None:
    kept = results(str, [Ask(CASES[0])], texts=True)["c0", 0, 0].answer
    assert kept is not None
    assert kept.output == "0"
    assert results(str, [Ask(CASES[0])])["c0", 0, 0].answer is None


def test_a_function_that_scores_and_does_not_return_leaves_its_case_without_a_score() -> None:
    ended = threading.Event()
    scorer = Scorer(function=FunctionScore(lambda output: ended.wait(LONG_S), "judge"))
    found = results(str, [Ask(CASES[0])], scorer, timeout_s=0.1)["c0", 0, 0]
    ended.set()
    assert (found.score, found.error) == (None, "the score took too long")
