"""Runs an agent over a data set in Python: `run_eval_suite`."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from aftercall.errors import UsageError
from aftercall.evals.answer import AnswerError, answer_of
from aftercall.evals.case import EvalCase, distinct
from aftercall.evals.functions import FunctionScore, ScoreFunction, awaited
from aftercall.evals.reading import case_of, read_cases
from aftercall.evals.results import CaseResult
from aftercall.evals.scoring import Scorer, failed
from aftercall.evals.summary import summarise

Dataset = Iterable[EvalCase | Mapping[str, Any]] | Path | str
_NS_PER_MS: Final = 1e6
_MAX_ERROR: Final = 200


def run_eval_suite(
    agent_fn: Callable[[Any], Any], dataset: Dataset, judge_fn: ScoreFunction | None = None
) -> dict[str, Any]:
    """Ask an agent all cases, one after the other, and sum up what came of it.

    Args:
        agent_fn: gets the input of a case; sync or async. It returns text, JSON, or an object with `output` and perhaps
            `tool_calls`, `attrs`, `cost_usd`. What it raises fails the case, with score 0, and counts under `errors`.
        dataset: cases, objects with the fields of `EvalCase`, or the path of a JSONL or CSV file.
        judge_fn: scores answers, instead of a comparison with `expected` where the case has no `checks`. It takes
            `output`, `output, expected`, `input, output, expected`, or `case, answer`, and returns a number from 0 to
            1, a bool, or one of these with a reason. Where it fails, the case has no score, and counts under `errors`.

    Returns:
        The fields of `EvalResult`: `pass_rate`, `interval`, `avg_score`, `total_cases`, `failed_cases`,
        `failure_details`, `errors`, `cost`, `p50_ms`, `p95_ms`, `tags` and others.

    Raises:
        DatasetError: there is no case, or one is wrong.
        UsageError: `judge_fn` takes other arguments, or a check needs a package that is not installed.

    >>> cases = [EvalCase(input="2 + 2", expected="4"), EvalCase(input="3 + 3", expected="6")]
    >>> result = run_eval_suite(lambda question: "4", cases)
    >>> result["pass_rate"], result["failed_cases"], result["failure_details"][0]["input"]
    (0.5, 1, '3 + 3')
    """
    cases = _cases_of(dataset)
    scorer = _scorer(judge_fn)
    scorer.prepare(cases)
    return summarise(cases, [_asked(agent_fn, scorer, case) for case in cases]).as_dict()


def _cases_of(dataset: Dataset) -> tuple[EvalCase, ...]:
    if isinstance(dataset, str | Path):
        return read_cases(Path(dataset))
    given = (one if isinstance(one, EvalCase) else case_of(one, f"case {at}") for at, one in enumerate(dataset, 1))
    return distinct(given)


def _scorer(judge_fn: ScoreFunction | None) -> Scorer:
    if judge_fn is None:
        return Scorer()
    try:
        return Scorer(function=FunctionScore(judge_fn, "judge"))
    except TypeError as wrong:
        raise UsageError(f"judge_fn: {wrong}") from None


def _asked(agent_fn: Callable[[Any], Any], scorer: Scorer, case: EvalCase) -> CaseResult:
    began = time.perf_counter_ns()
    try:
        returned = agent_fn(case.input)
        if inspect.isawaitable(returned):
            returned = awaited(returned)
        answer = answer_of(returned, _ms_since(began))
    except KeyboardInterrupt:
        raise
    except AnswerError as wrong:
        return failed(case, str(wrong), _ms_since(began))
    except BaseException as wrong:  # noqa: BLE001  # the agent's; `SystemExit` too
        return failed(case, f"{type(wrong).__name__}: {wrong}"[:_MAX_ERROR], _ms_since(began))
    return replace(scorer.score(case, answer), answer=answer)


def _ms_since(began_ns: int) -> float:
    return (time.perf_counter_ns() - began_ns) / _NS_PER_MS
