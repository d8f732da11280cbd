"""Scores an answer by the checks of its case, by contracts, and by a function: the lowest score counts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Protocol

from aftercall.contracts.code import run as run_code
from aftercall.contracts.contract import Contract, ContractError
from aftercall.contracts.kinds import KINDS
from aftercall.errors import UsageError
from aftercall.evals.answer import Answer
from aftercall.evals.case import DatasetError, EvalCase, json_text
from aftercall.evals.contract_checks import ContractChecks, RunCode, check_in_case, checks_of
from aftercall.evals.functions import FunctionScore
from aftercall.evals.results import PASS_AT, CaseResult, Scored
from aftercall.evals.text_checks import TEXT_CHECKS, AnswerLook

_NS_PER_US: Final = 1000
_NOT_SCORED: Final = "no check could judge the answer"


class _CaseCheck(Protocol):
    """A check of a case, ready to be used."""

    def __call__(self, answer: Answer, record: Mapping[str, Any]) -> list[Scored]:
        """What it finds."""


class Scorer:
    """Scores answers. Its methods may be called from several threads."""

    def __init__(
        self,
        contracts: Iterable[Contract] = (),
        function: FunctionScore | None = None,
        run: RunCode = run_code,
    ) -> None:
        """Make what judges.

        Args:
            contracts: whose rules judge each answer, whatever their globs.
            function: scores each answer, beside the `checks` of its case; what is `expected` is its business alone.
            run: runs the functions of `python` rules.

        Raises:
            ContractError: a function of a rule cannot be imported.
        """
        self._contracts: list[ContractChecks] = checks_of(contracts, run)
        self._function = function
        self._made: dict[str, _CaseCheck] = {}

    def prepare(self, cases: Iterable[EvalCase]) -> None:
        """Make the checks of these cases, so that what is wrong is said before an agent is asked.

        Raises:
            DatasetError: a check is wrong, or a case has nothing to be scored by.
            UsageError: a package is missing that a check needs.
        """
        for case in cases:
            if not list(self._checks_of(case)) and not self._contracts and self._function is None:
                raise DatasetError(
                    f"{_place(case)}: a case must have `expected` or `checks`; it has neither (give one, or name a"
                    " contract or a function that scores)"
                )

    def score(self, case: EvalCase, answer: Answer, repeat: int = 0, attempt: int = 0) -> CaseResult:
        """What came of an answer.

        Some us per check. `CaseResult.answer` is left out: who keeps texts puts it in.
        """
        record = answer.record(case, time.time_ns() // _NS_PER_US)
        found = [one for check in self._checks_of(case) for one in check(answer, record)]
        found += [one for contract in self._contracts for one in contract.score(record)]
        if self._function is not None:
            found.append(self._function.score(case, answer))
        score, error = _whole(found)
        return CaseResult(
            case_id=case.id,
            input_hash=case.input_hash,
            score=score,
            error=error,
            latency_ms=answer.latency_ms,
            cost=answer.cost,
            tags=case.tags,
            checks=tuple(found),
            repeat=repeat,
            attempt=attempt,
        )

    def _checks_of(self, case: EvalCase) -> Iterable[_CaseCheck]:
        compared = case.expected is not None and self._function is None
        checks = case.checks or (({"type": "exact"},) if compared else ())
        return [self._check(case, given, at) for at, given in enumerate(checks, 1)]

    def _check(self, case: EvalCase, given: Mapping[str, Any], at: int) -> _CaseCheck:
        """A check; equal ones of all cases are made once."""
        wanted = {"value": case.expected, **given} if given.get("type") in TEXT_CHECKS else given
        key = json_text(wanted)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = _made_of(wanted, f"{_place(case)}, check {at}")
        return made


def failed(case: EvalCase, error: str, latency_ms: float, repeat: int = 0, attempt: int = 0) -> CaseResult:
    """What came of a case whose agent raised, or gave no answer."""
    return CaseResult(
        case_id=case.id,
        input_hash=case.input_hash,
        score=0.0,
        error=error,
        latency_ms=latency_ms,
        tags=case.tags,
        repeat=repeat,
        attempt=attempt,
    )


def _whole(found: Iterable[Scored]) -> tuple[float | None, str | None]:
    """The score of all checks together, and why there is none.

    The lowest, as an answer is as good as its worst part. A check in error leaves the case without a score, unless
    another one fails it anyway. What does not apply says nothing.
    """
    counting = [one for one in found if one.counts]
    scores = [one.score for one in counting if one.score is not None]
    wrong = next((f"{one.check}: {one.details}" for one in counting if one.error), None)
    if wrong is not None and not (scores and min(scores) < PASS_AT):
        return None, wrong
    if not scores:
        reasons = [one.details for one in found if one.details]
        return None, f"{_NOT_SCORED}: {reasons[0]}" if reasons else _NOT_SCORED
    return min(scores), None


def _place(case: EvalCase) -> str:
    return case.place or f"case {case.id!r}"


def _made_of(given: Mapping[str, Any], place: str) -> _CaseCheck:
    kind = given.get("type")
    if kind in TEXT_CHECKS:
        return _text_check(kind, given, place)
    if kind in KINDS:
        try:
            rule = check_in_case(given, place)
        except ContractError as wrong:
            raise DatasetError(str(wrong)) from None
        return lambda _, record: rule.score(record)
    known = (*TEXT_CHECKS, *KINDS)
    near = get_close_matches(str(kind), known, 1)
    raise DatasetError(
        f"{place}: type must be a kind of check; got {str(kind)[:80]!r}"
        f" ({f'did you mean {near[0]!r}?' if near else 'docs/evals.md lists them'})"
    )


def _text_check(kind: str, given: Mapping[str, Any], place: str) -> _CaseCheck:
    surplus = next((key for key in given if key not in {"type", "value"}), None)
    if surplus is not None:
        raise DatasetError(f"{place}: {str(surplus)[:80]!r} is no key of a check {kind!r} (it takes type and value)")
    check, value = TEXT_CHECKS[kind], given["value"]
    if check.wants and value is None:
        raise DatasetError(f"{place}: a check {kind!r} needs {check.wants} (give its value, or the case's expected)")
    try:
        look = check.make(value)
    except UsageError:
        raise
    except ValueError as wrong:
        raise DatasetError(f"{place}: the value of a check {kind!r} {wrong}") from None
    return lambda answer, _: [_scored(kind, look, answer)]


def _scored(kind: str, look: AnswerLook, answer: Answer) -> Scored:
    wrong = look(answer)
    return Scored(kind, 1.0 if wrong is None else 0.0, wrong or "")
