"""`run_eval_suite`, and the figures that it gives."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from aftercall.errors import UsageError
from aftercall.evals import Answer, CaseResult, DatasetError, EvalCase, run_eval_suite, summarise

SUMS = [EvalCase(id=f"{a}+{a}", input=f"{a}+{a}", expected=str(2 * a), tags=("even",) * (a % 2 == 0)) for a in range(4)]


def adds(question: str) -> str:
    a, _, b = question.partition("+")
    return str(int(a) + int(b)) if a != "3" else "33"


async def adds_later(question: str) -> str:
    await asyncio.sleep(0)
    return adds(question)


@pytest.mark.parametrize("agent", [adds, adds_later])
def test_an_agent_sync_or_async_is_asked_every_case(agent: Any) -> None:
    result = run_eval_suite(agent, SUMS)
    assert (result["total_cases"], result["failed_cases"], result["pass_rate"]) == (4, 1, 0.75)
    assert (result["avg_score"], result["errors"], result["cost"]) == (0.75, 0, None)
    assert result["interval"] == pytest.approx([0.3006, 0.9544], abs=1e-4)
    assert result["failure_details"] == [
        {"id": "3+3", "input": "3+3", "score": 0.0, "reason": "exact: is not the expected text", "output": "33"}
    ]
    assert result["tags"]["even"] | {"interval": None} == {
        "total_cases": 2, "failed_cases": 0, "pass_rate": 1.0, "interval": None,
    }  # fmt: skip


def test_an_async_agent_is_asked_where_an_event_loop_runs() -> None:
    async def within() -> float:
        return float(run_eval_suite(adds_later, SUMS)["pass_rate"])

    assert asyncio.run(within()) == 0.75


def test_a_data_set_may_be_objects_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("input,expected\n1+1,2\n")
    assert run_eval_suite(adds, [{"question": "1+1", "answer": 2}])["pass_rate"] == 1.0
    assert run_eval_suite(adds, tmp_path / "a.csv")["pass_rate"] == 1.0
    assert run_eval_suite(adds, str(tmp_path / "a.csv"))["pass_rate"] == 1.0


def test_an_empty_data_set_is_a_sentence() -> None:
    with pytest.raises(DatasetError, match=r"^dataset: must have one case at least; got none"):
        run_eval_suite(adds, [])


def test_an_agent_that_raises_or_exits_fails_its_case_alone_and_counts_as_an_error() -> None:
    def agent(question: str) -> str:
        if question == "1+1":
            raise ValueError("no")
        return sys.exit(0) if question == "2+2" else adds(question)

    result = run_eval_suite(agent, SUMS[:3])
    assert (result["errors"], result["failed_cases"], result["unscored_cases"]) == (2, 2, 0)
    assert result["avg_score"] == pytest.approx(1 / 3)
    assert [one["reason"] for one in result["failure_details"]] == ["ValueError: no", "SystemExit: 0"]


def test_a_judge_that_fails_is_an_error_and_not_a_0() -> None:
    def judge(output: str, expected: str) -> float:
        return 1.0 if output != "2" else 1 / 0

    result = run_eval_suite(adds, SUMS, judge)
    assert (result["errors"], result["unscored_cases"], result["failed_cases"]) == (1, 1, 0)
    assert (result["pass_rate"], result["avg_score"]) == (1.0, 1.0)


def test_a_judge_that_always_fails_leaves_no_rate_at_all() -> None:
    result = run_eval_suite(adds, SUMS, lambda output: 1 / 0)
    assert (result["pass_rate"], result["interval"], result["avg_score"]) == (None, None, None)


def test_ctrl_c_ends_the_suite() -> None:
    def agent(question: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_eval_suite(agent, SUMS)


def test_a_judge_with_other_arguments_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"^judge_fn: takes 4 arguments"):
        run_eval_suite(adds, SUMS, lambda a, b, c, d: 1.0)


# --- figures ---


def result(case: EvalCase, score: float | None, **more: Any) -> CaseResult:
    return CaseResult(case.id, case.input_hash, score, **more)


def test_details_are_ten_at_most_with_inputs_of_a_hundred_characters() -> None:
    cases = [EvalCase(input=f"{at:03} " + "x" * 200, expected="y") for at in range(30)]
    details = summarise(cases, [result(case, 0.0) for case in cases]).failure_details
    assert [one["input"] for one in details] == [f"{at:03} {'x' * 93}..." for at in range(10)]


def test_a_case_that_is_asked_several_times_is_judged_by_its_mean_score() -> None:
    one, other, third = SUMS[:3]
    scores = {one: (1.0, 1.0, 0.0), other: (1.0, 1.0, 0.2), third: (0.7, 0.7, 0.7)}
    found = summarise(
        SUMS, [result(case, score, repeat=at) for case, list_ in scores.items() for at, score in enumerate(list_)]
    )
    assert (found.total_cases, found.answers, found.failed_cases, found.flaky_cases) == (3, 9, 1, 2)
    assert found.pass_rate == pytest.approx(2 / 3)


def test_answers_that_a_gate_asked_for_again_do_not_count() -> None:
    found = summarise(SUMS[:1], [result(SUMS[0], 0.0), result(SUMS[0], 1.0, attempt=1, cost=5.0)])
    assert (found.pass_rate, found.answers, found.cost) == (0.0, 1, None)


def test_costs_are_summed_and_latencies_ranked() -> None:
    results = [result(SUMS[at % 4], 1.0, repeat=at // 4, latency_ms=float(at + 1), cost=0.1) for at in range(20)]
    found = summarise(SUMS, results)
    assert (found.p50_ms, found.p95_ms) == (10.0, 19.0)
    assert found.cost == pytest.approx(2.0)


def test_an_answer_is_only_in_the_details_where_it_was_kept() -> None:
    kept = summarise(SUMS[:1], [result(SUMS[0], 0.0, answer=Answer("x"))]).failure_details[0]
    assert kept["output"] == "x"
    assert "output" not in summarise(SUMS[:1], [result(SUMS[0], 0.0)]).failure_details[0]
