"""Sums up what came of the cases of a data set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from aftercall.evals.case import EvalCase
from aftercall.evals.results import (
    MAX_FAILURES_SHOWN,
    MAX_INPUT_SHOWN,
    PASS_AT,
    CaseResult,
    CheckCount,
    EvalResult,
    TagResult,
)

_Z_95: Final = 1.959963984540054


class CaseSummary:
    """All results of one case: the case is judged by the mean of the scores that it has."""

    def __init__(self, case: EvalCase, results: Sequence[CaseResult]) -> None:
        """Take the results of all times that it was asked, but those of a gate that asked again."""
        self.case: Final = case
        self.results: Final = results
        scores = [one.score for one in results if one.score is not None]
        self.score: Final = sum(scores) / len(scores) if scores else None
        # The mean of three times .7 is a little less in floating point.
        self.passed: Final = self.score is not None and self.score >= PASS_AT - 1e-9
        self.flaky: Final = {one.passed for one in results if one.score is not None} == {True, False}

    @property
    def failed(self) -> bool:
        """Whether it was scored, and did not pass."""
        return self.score is not None and not self.passed

    @property
    def reason(self) -> str:
        """Why it did not pass, of the first time that it did not."""
        return next((one.reason for one in self.results if not one.passed), "")

    def details(self) -> dict[str, Any]:
        """For `failure_details`."""
        shown = self.case.question
        cut = shown if len(shown) <= MAX_INPUT_SHOWN else f"{shown[: MAX_INPUT_SHOWN - 3]}..."
        found = {"id": self.case.id, "input": cut, "score": self.score, "reason": self.reason}
        answered = next((one.answer for one in self.results if not one.passed and one.answer is not None), None)
        return found if answered is None else found | {"output": answered.text[:MAX_INPUT_SHOWN]}


def by_case(cases: Sequence[EvalCase], results: Iterable[CaseResult]) -> list[CaseSummary]:
    """The results by case, in the order of the cases; cases without a result are left out."""
    found: dict[str, list[CaseResult]] = {}
    for result in results:
        if not result.attempt:
            found.setdefault(result.case_id, []).append(result)
    return [CaseSummary(case, found[case.id]) for case in cases if case.id in found]


def summarise(cases: Sequence[EvalCase], results: Iterable[CaseResult]) -> EvalResult:
    """What came of the cases that have a result.

    Args:
        cases: each with an id of its own.
        results: in any order; those of a gate that asked again (`attempt`) do not count.
    """
    summaries = by_case(cases, results)
    whole = _share(summaries)
    answers = [one for summary in summaries for one in summary.results]
    scores = [summary.score for summary in summaries if summary.score is not None]
    costs = [one.cost for one in answers if one.cost is not None]
    latencies = sorted(one.latency_ms for one in answers if not math.isnan(one.latency_ms))
    return EvalResult(
        pass_rate=whole.pass_rate,
        interval=whole.interval,
        avg_score=sum(scores) / len(scores) if scores else None,
        total_cases=whole.total_cases,
        failed_cases=whole.failed_cases,
        errors=sum(one.error is not None for one in answers),
        unscored_cases=sum(summary.score is None for summary in summaries),
        flaky_cases=sum(summary.flaky for summary in summaries),
        answers=len(answers),
        failure_details=_failures(summaries),
        cost=math.fsum(costs) if costs else None,
        p50_ms=quantile(latencies, 0.5),
        p95_ms=quantile(latencies, 0.95),
        tags=_tags(summaries),
        checks=_checks(answers),
    )


def _failures(summaries: Iterable[CaseSummary]) -> tuple[dict[str, Any], ...]:
    """Of those that did not pass, the first ones; those that could not be scored behind the others."""
    failed = sorted((one for one in summaries if not one.passed), key=lambda one: one.score is None)
    return tuple(one.details() for one in failed[:MAX_FAILURES_SHOWN])


def _tags(summaries: Sequence[CaseSummary]) -> dict[str, TagResult]:
    tags = dict.fromkeys(tag for summary in summaries for tag in summary.case.tags)
    found: dict[str, list[CaseSummary]] = {tag: [] for tag in tags}
    for summary in summaries:
        for tag in dict.fromkeys(summary.case.tags):
            found[tag].append(summary)
    return {tag: _share(tagged) for tag, tagged in found.items()}


def _checks(answers: Iterable[CaseResult]) -> dict[str, CheckCount]:
    found: dict[str, CheckCount] = {}
    for one in (check for answer in answers for check in answer.checks):
        found[one.check] = found.get(one.check, CheckCount()).plus(one)
    return found


def _share(summaries: Sequence[CaseSummary]) -> TagResult:
    scored = sum(one.score is not None for one in summaries)
    passed = sum(one.passed for one in summaries)
    failed = scored - passed
    return TagResult(len(summaries), failed, passed / scored if scored else None, wilson_interval(passed, scored))


def wilson_interval(passed: int, of: int) -> tuple[float, float] | None:
    """The 95 % interval of a share; None of nothing.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).

    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    """
    if not of:
        return None
    share, z2 = passed / of, _Z_95 * _Z_95
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z_95 * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return (0.0 if not passed else middle - half), (1.0 if passed == of else middle + half)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` of them do not exceed; None of nothing.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([1.0, 2.0, 3.0, 4.0], 0.95)
    (2.0, 4.0)
    """
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None
