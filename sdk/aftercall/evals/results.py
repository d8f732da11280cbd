"""Defines what came of one case, and of all cases of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

from aftercall.evals.answer import Answer

PASS_AT: Final = 0.7
"""A case passes at this score, or a higher one."""
MAX_FAILURES_SHOWN: Final = 10
MAX_INPUT_SHOWN: Final = 100


class Scored(NamedTuple):
    """What one check found: a score from 0 to 1; None where it does not apply, or, with `error`, failed itself.

    `details` is a sentence without a piece of any text of the case.
    """

    check: str
    score: float | None
    details: str = ""
    error: bool = False
    counts: bool = True
    """Whether the score counts for the case: that of rules of the severities minor and info does not."""


@dataclass(frozen=True)
class CaseResult:
    """What came of one case: of the `repeat`-th time that it was asked, counted from 0.

    `attempt` is 0, or 1 and 2 where a gate asked again. `score` is the lowest that a check found; None where no check
    could judge, which is then the `error`. Where the agent raised, or gave no answer, the score is 0 and `error` says
    why. `answer` is there only while texts may be seen.
    """

    case_id: str
    input_hash: str
    score: float | None
    error: str | None = None
    latency_ms: float = 0.0
    cost: float | None = None
    tags: tuple[str, ...] = ()
    checks: tuple[Scored, ...] = ()
    """All that were made, in their order."""
    repeat: int = 0
    attempt: int = 0
    answer: Answer | None = None

    @property
    def passed(self) -> bool:
        """Whether the score is `PASS_AT` or higher."""
        return self.score is not None and self.score >= PASS_AT

    @property
    def violations(self) -> tuple[Scored, ...]:
        """The checks that found something wrong, those that do not count included."""
        return tuple(one for one in self.checks if one.score is not None and one.score < PASS_AT)

    @property
    def reason(self) -> str:
        """Why it did not pass, in one line without texts; empty where it passed."""
        if self.error is not None:
            return self.error
        found = [f"{one.check}: {one.details}" if one.details else one.check for one in self.violations if one.counts]
        return "" if self.passed else "; ".join(found)


@dataclass(frozen=True)
class TagResult:
    """The cases with one tag: as the fields of `EvalResult`."""

    total_cases: int
    failed_cases: int
    pass_rate: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class CheckCount:
    """How often one check passed, failed, did not apply, and failed itself; and why it first did not apply, or erred.

    What does not apply is no pass: a check that never applies checks nothing.
    """

    passed: int = 0
    failed: int = 0
    not_applicable: int = 0
    errors: int = 0
    reason: str = ""

    def plus(self, one: Scored) -> CheckCount:
        """With one more finding."""
        wrong = one.score is None
        return CheckCount(
            self.passed + (not wrong and (one.score or 0) >= PASS_AT),
            self.failed + (not wrong and (one.score or 0) < PASS_AT),
            self.not_applicable + (wrong and not one.error),
            self.errors + one.error,
            self.reason or (one.details if wrong else ""),
        )


@dataclass(frozen=True)
class EvalResult:
    """What came of a data set. A case that was asked several times has the mean of its scores.

    `pass_rate` is the share of passed cases among those that could be scored, `interval` its 95 % interval (Wilson, as
    if the cases were drawn from many like them); None where none was scored. `errors` counts answers (cases, times
    repeats) that ended with an error, `failed_cases` cases that were scored and did not pass: where the agent raised,
    both. `unscored_cases` are those that no check could judge, `flaky_cases` those that passed at one time and failed
    at another. `cost` is the sum in USD, None where no answer had one.
    """

    pass_rate: float | None
    interval: tuple[float, float] | None
    avg_score: float | None
    total_cases: int
    failed_cases: int
    errors: int
    unscored_cases: int
    flaky_cases: int
    answers: int
    """How many were asked for: cases, times repeats."""
    failure_details: tuple[Mapping[str, Any], ...]
    """Of 10 cases at most: `id`, `input` (cut to 100 characters), `score`, `reason`."""
    cost: float | None
    p50_ms: float | None
    p95_ms: float | None
    tags: Mapping[str, TagResult] = field(default_factory=dict)
    checks: Mapping[str, CheckCount] = field(default_factory=dict)
    """By the name of the check, over all answers."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = asdict(self)
        plain["interval"] = None if self.interval is None else list(self.interval)
        plain["failure_details"] = [dict(one) for one in self.failure_details]
        plain["tags"] = {name: {**asdict(one), "interval": _listed(one.interval)} for name, one in self.tags.items()}
        plain["checks"] = {name: asdict(one) for name, one in self.checks.items()}
        return plain


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
