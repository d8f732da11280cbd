"""Reads and writes tests of promptfoo, and reads its results of version 3."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from aftercall.evals.case import DatasetError, EvalCase, distinct
from aftercall.evals.results import PASS_AT, CaseResult, Scored
from aftercall.times import to_us
from connectors.suites.foreign_case import ForeignCases, ForeignRun, FormatError, json_file

_VAR: Final = "promptfoo_var"
"""Of a test with one variable, the name of that variable; in `metadata`."""
_INPUT: Final = "input"
_CHECKS: Final[Mapping[str, str]] = {
    "equals": "equals",
    "contains": "contains",
    "icontains": "icontains",
    "regex": "regex",
    "is-json": "json",
}
"""Types of assertions that have a counterpart here."""
_KNOWN_KEYS: Final = frozenset({"description", "vars", "assert", "metadata"})
_RESULTS_VERSION: Final = 3
_ERROR: Final = 2
"""`failureReason` where there was no answer to judge."""
_TEMPLATE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def read_tests(path: Path) -> ForeignCases:
    """The tests of a configuration (YAML or JSON), or of a list of tests, as cases.

    The input is the value of a test's only variable, else all its variables as an object: prompts are those of the
    agent. Assertions without a counterpart are named in `lost`, as are tests whose variables lie in other files.

    Raises:
        FormatError: the file cannot be read, or has no list of tests.
        DatasetError: there is no test left.
    """
    given = _parsed(path)
    listed = given if isinstance(given, list) else given.get("tests") if isinstance(given, Mapping) else None
    if not isinstance(listed, list):
        raise FormatError(f"{path}: must have a list of `tests`; got none (name the file in which they are)")
    shared = given.get("defaultTest") if isinstance(given, Mapping) else None
    lost: list[str] = []
    cases = list(_cases(listed, shared if isinstance(shared, Mapping) else {}, path, lost))
    return ForeignCases(distinct(cases, str(path)), lost)


def written_tests(cases: Iterable[EvalCase]) -> tuple[dict[str, Any], list[str]]:
    """A configuration with a test per case, and a sentence for each check that promptfoo does not have.

    Its prompt is the only variable where all tests have the same one, else `input`.
    """
    lost: list[str] = []
    tests = [_test(case, lost) for case in cases]
    names = {name for test in tests for name in test["vars"]}
    prompt = f"{{{{{names.pop() if len(names) == 1 else _INPUT}}}}}"
    return {"description": "written by aftercall", "prompts": [prompt], "tests": tests}, lost


def results_in(path: Path) -> ForeignRun:
    """Results (`promptfoo eval -o results.json`) as a run: a result per test and provider.

    Raises:
        FormatError: the file holds no results of version 3, or those of several providers.
    """
    given = json_file(path)
    found = given.get("results") if isinstance(given, Mapping) else None
    if not isinstance(found, Mapping) or found.get("version") != _RESULTS_VERSION:
        raise FormatError(
            f"{path}: must be results of promptfoo of version {_RESULTS_VERSION} (write them with `promptfoo eval -o"
            " results.json`)"
        )
    rows = [one for one in found.get("results") or () if isinstance(one, Mapping)]
    agents = {str((one.get("provider") or {}).get("id", "promptfoo")) for one in rows}
    if len(agents) != 1:
        raise FormatError(f"{path}: must have results of one provider; got {len(agents)} (run one at a time)")
    pairs = [_result(one, path) for one in rows]
    cases = {case.id: case for case, _ in pairs}
    return ForeignRun(path.name, agents.pop(), _us(found, path), list(cases.values()), _with_repeats(pairs))


# --- tests ---


def _parsed(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as wrong:
        raise FormatError(f"{path}: cannot be read: {wrong.strerror} (check the path)") from None
    except (yaml.YAMLError, ValueError, RecursionError) as wrong:
        words = " ".join(str(getattr(wrong, "problem", None) or "it is nested too deep").split())
        raise FormatError(f"{path}: must be YAML or JSON: {words} (correct the file)") from None


def _cases(listed: list[Any], shared: Mapping[str, Any], path: Path, lost: list[str]) -> Iterator[EvalCase]:
    for at, test in enumerate(listed, 1):
        place = f"{path}, test {at}"
        variables = {**_table(shared.get("vars")), **_table(test.get("vars") if isinstance(test, Mapping) else None)}
        if not isinstance(test, Mapping) or not variables:
            lost.append(f"{place}: has no variables, or is in another file: skipped")
        elif any(_is_elsewhere(value) for value in variables.values()):
            lost.append(f"{place}: a variable is in another file, or a list of values: skipped")
        else:
            asserted = [*(shared.get("assert") or ()), *(test.get("assert") or ())]
            lost += [f"{place}: {key!r} has no counterpart: left out" for key in test if key not in _KNOWN_KEYS]
            yield _case(test, variables, asserted, place, lost)


def _table(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def _is_elsewhere(value: Any) -> bool:
    """Lists are expanded to a test per value, and files are read, by promptfoo alone."""
    return isinstance(value, list) or (isinstance(value, str) and value.startswith("file://"))


def _case(
    test: Mapping[str, Any], variables: Mapping[str, Any], asserted: list[Any], place: str, lost: list[str]
) -> EvalCase:
    metadata = dict(_table(test.get("metadata")))
    given: Any = dict(variables)
    if len(variables) == 1:
        ((name, given),) = variables.items()
        metadata |= {} if name == _INPUT else {_VAR: name}
    metadata |= {"description": test["description"]} if test.get("description") else {}
    checks = [check for one in asserted if (check := _check(one, variables, place, lost)) is not None]
    return EvalCase(input=given, checks=tuple(checks), metadata=metadata, place=place)


def _check(one: Any, variables: Mapping[str, Any], place: str, lost: list[str]) -> dict[str, Any] | None:
    kind = one.get("type") if isinstance(one, Mapping) else None
    if not isinstance(one, Mapping) or not isinstance(kind, str) or kind not in _CHECKS:
        lost.append(f"{place}: the assertion {str(kind)[:40]!r} has no counterpart: left out")
        return None
    surplus = next((key for key in one if key not in {"type", "value", "metric"}), None)
    value = _filled(one.get("value"), variables)
    if surplus is not None or value is _UNKNOWN:
        what = "its value" if surplus is None else repr(surplus)
        lost.append(f"{place}: the assertion {kind!r} cannot be carried over with {what}: left out")
        return None
    if kind == "is-json":
        return {"type": "json"} if value is None else {"type": "json_schema", "value": value}
    return {"type": _CHECKS[kind], "value": value}


_UNKNOWN: Final = object()


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """A value with its variables; `_UNKNOWN` where it needs more than names of these, or a file."""
    if not isinstance(value, str):
        return value
    if value.startswith("file://"):
        return _UNKNOWN
    plain = _TEMPLATE.sub(lambda found: str(variables.get(found[1], found[0])), value)
    return _UNKNOWN if _TEMPLATE.search(plain) or "{%" in plain else plain


def _test(case: EvalCase, lost: list[str]) -> dict[str, Any]:
    metadata = dict(case.metadata)
    name, description = metadata.pop(_VAR, _INPUT), metadata.pop("description", None)
    found: dict[str, Any] = {} if description is None else {"description": description}
    whole = isinstance(case.input, Mapping) and len(case.input) != 1
    found["vars"] = dict(case.input) if whole else {name: case.input}
    found["assert"] = [one for check in _all_checks(case) for one in _asserted(check, case, lost)]
    return found | ({"metadata": metadata} if metadata else {})


def _all_checks(case: EvalCase) -> tuple[Mapping[str, Any], ...]:
    return case.checks or (() if case.expected is None else ({"type": "exact", "value": case.expected},))


def _asserted(check: Mapping[str, Any], case: EvalCase, lost: list[str]) -> Iterator[dict[str, Any]]:
    kind, value = check.get("type"), check.get("value", case.expected)
    if kind in {"json", "json_schema"}:
        yield {"type": "is-json"} | ({"value": value} if kind == "json_schema" else {})
    elif kind in {"contains", "icontains"}:
        yield from ({"type": kind, "value": one} for one in (value if isinstance(value, list | tuple) else [value]))
    elif kind in {"equals", "regex"}:
        yield {"type": kind, "value": value}
    elif kind == "exact":
        lost.append(f"case {case.id!r}: 'exact' becomes 'equals', which counts blanks and capitals")
        yield {"type": "equals", "value": value}
    else:
        lost.append(f"case {case.id!r}: the check {str(kind)[:40]!r} has no counterpart: left out")


# --- results ---


def _result(row: Mapping[str, Any], path: Path) -> tuple[EvalCase, CaseResult]:
    test = _table(row.get("testCase"))
    variables = _table(test.get("vars")) or _table(row.get("vars"))
    if not variables:
        raise DatasetError(f"{path}: a result must have the variables of its test (write the results again)")
    case = _case(test, variables, [], str(path), [])
    grading = _table(row.get("gradingResult"))
    parts = [_table(one) for one in grading.get("componentResults") or ()]
    latency, cost = row.get("latencyMs"), row.get("cost")
    error = "the run ended with an error" if row.get("failureReason") == _ERROR else None
    return case, CaseResult(
        case_id=case.id,
        input_hash=case.input_hash,
        score=0.0 if error else _score(row.get("score"), passed=row.get("success") is True),
        error=error,
        latency_ms=float(latency) if isinstance(latency, int | float) else float("nan"),
        cost=float(cost) if isinstance(cost, int | float) and cost else None,
        checks=tuple(
            Scored(str(_table(one.get("assertion")).get("type", "assertion")), float(one.get("pass") is True))
            for one in parts
        ),
    )


def _score(given: Any, *, passed: bool) -> float:
    """Its own score where that agrees with whether it passed, which thresholds and weights may decide otherwise."""
    known = float(given) if isinstance(given, int | float) and 0 <= given <= 1 else float(passed)
    return known if (known >= PASS_AT) == passed else float(passed)


def _with_repeats(pairs: list[tuple[EvalCase, CaseResult]]) -> list[CaseResult]:
    """A test that comes several times was repeated, or had several prompts."""
    seen: dict[str, int] = {}
    found = []
    for case, result in pairs:
        found.append(replace(result, repeat=seen.get(case.id, 0)))
        seen[case.id] = seen.get(case.id, 0) + 1
    return found


def _us(results: Mapping[str, Any], path: Path) -> int:
    try:
        return to_us(datetime.fromisoformat(str(results.get("timestamp"))))
    except (TypeError, ValueError):
        raise FormatError(f"{path}, results.timestamp: must be a time (write the results again)") from None
