"""Reads samples of OpenAI Evals: `{"input": [messages], "ideal": ...}` per line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aftercall.evals.case import DatasetError, EvalCase, distinct
from aftercall.evals.reading import case_of, json_rows
from connectors.suites.foreign_case import ForeignCases


def samples_of_evals(path: Path) -> ForeignCases:
    """The samples of a `.jsonl` file as cases: the answer must contain the ideal one, as of the template `includes`.

    The file does not name the template, which stands in the registry. Of several ideal answers, one must be equal.

    Raises:
        DatasetError: the file cannot be read, has no sample, or one is wrong.
    """
    cases: list[EvalCase] = []
    for place, given in json_rows(path):
        if not isinstance(given, Mapping) or "ideal" not in given:
            raise DatasetError(f"{place}: a sample must have an `ideal` answer; got none (is it of another format?)")
        fields = dict(given)
        ideal = fields.pop("ideal")
        case = case_of(fields, place)
        cases.append(_with_ideal(case, ideal))
    return ForeignCases(distinct(cases, str(path)))


def _with_ideal(case: EvalCase, ideal: object) -> EvalCase:
    kind = "one_of" if isinstance(ideal, list) else "contains"
    value = ideal if isinstance(ideal, list) else str(ideal)
    return EvalCase(
        input=case.input,
        expected=ideal if isinstance(ideal, str) else None,
        id=case.id,
        checks=({"type": kind, "value": value},),
        tags=case.tags,
        metadata=case.metadata,
        place=case.place,
    )
