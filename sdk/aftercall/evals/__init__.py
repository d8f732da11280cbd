"""Runs an agent over a data set of cases, scores its answers, and sums them up: before a deployment, or every night.

`run_eval_suite` does it in Python, `aftercall eval run` at the command line. Pure: the standard library and pydantic.
Checks on texts also need the extra `aftercall[contracts]`, and load it when they are used. Importing this package loads
nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aftercall.evals.answer import Answer
    from aftercall.evals.case import DatasetError, EvalCase
    from aftercall.evals.faults.tools import tool
    from aftercall.evals.reading import read_cases
    from aftercall.evals.results import CaseResult, EvalResult
    from aftercall.evals.scoring import Scorer
    from aftercall.evals.suite import run_eval_suite
    from aftercall.evals.summary import summarise

__all__ = [
    "Answer",
    "CaseResult",
    "DatasetError",
    "EvalCase",
    "EvalResult",
    "Scorer",
    "read_cases",
    "run_eval_suite",
    "summarise",
    "tool",
]

_HOMES = {
    "Answer": "answer",
    "CaseResult": "results",
    "DatasetError": "case",
    "EvalCase": "case",
    "EvalResult": "results",
    "Scorer": "scoring",
    "read_cases": "reading",
    "run_eval_suite": "suite",
    "summarise": "summary",
    "tool": "faults.tools",
}
"""Where each public name is defined; `tests/sdk/evals/test_face.py` compares it with the imports for type checkers."""

if not TYPE_CHECKING:  # A type checker that saw it would accept any name.

    def __getattr__(name):  # noqa: ANN001, ANN202
        if name not in _HOMES:
            raise AttributeError(f"module 'aftercall.evals' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"aftercall.evals.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
