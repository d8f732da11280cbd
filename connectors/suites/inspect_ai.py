"""Reads and writes samples of Inspect AI, writes a task that asks our agent, and reads logs.

Formats of inspect-ai 0.3 (`inspect_ai.dataset.Sample`; logs of version 2: `.eval` as it writes them, or JSON
from `inspect log convert`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aftercall.evals.case import EvalCase, distinct
from aftercall.evals.reading import case_of, read_cases
from aftercall.evals.results import CaseResult, Scored
from aftercall.times import to_us
from connectors.suites.foreign_case import ForeignCases, ForeignRun, FormatError, foreign_score, json_file

_FIELDS: Final[tuple[str, ...]] = ("choices", "files", "sandbox", "setup", "description", "checkpoint")
"""Of a sample, what is kept in `metadata` and written back."""
_LOG_VERSION: Final = 2
_OURS: Final = "aftercall"
_ANY: Final = "one_of"


def samples_in(path: Path) -> ForeignCases:
    """The samples of a `.jsonl`, `.csv` or `.json` file as cases. `target` is expected; of several, any.

    A sample without a target, or with an empty one, needs a contract or a function that scores.

    Raises:
        DatasetError: the file cannot be read, has no sample, or one is wrong.
        FormatError: a `.json` file is no list.
    """
    if path.suffix.lower() != ".json":
        return ForeignCases([_with_targets(case) for case in read_cases(path)])
    given = json_file(path)
    if not isinstance(given, list):
        raise FormatError(f"{path}: must be a list of samples; it is none (export it again)")
    cases = [_with_targets(case_of(one, f"{path}, sample {at}")) for at, one in enumerate(given, 1)]
    return ForeignCases(distinct(cases, str(path)))


def samples_out(cases: Iterable[EvalCase]) -> Iterator[dict[str, Any]]:
    """Each case as a sample. What samples have no field for is in `metadata.aftercall`, and read from there again."""
    for case in cases:
        metadata = dict(case.metadata)
        kept = {name: metadata.pop(name) for name in _FIELDS if name in metadata}
        targets = case.checks[0]["value"] if _is_of_targets(case) else _target(case.expected)
        ours: dict[str, Any] = {"tags": list(case.tags)}
        ours |= {} if _is_of_targets(case) else {"checks": [dict(one) for one in case.checks]}
        ours |= {} if _is_text(case.expected) else {"expected": case.expected}
        if ours := {name: value for name, value in ours.items() if value != []}:
            metadata[_OURS] = ours
        found: dict[str, Any] = {"input": _input(case.input), "target": targets, "id": case.id, **kept}
        if metadata:
            found["metadata"] = metadata
        yield found


def log_in(path: Path) -> ForeignRun:
    """A log as a run: of each sample and epoch a result, with the lowest of its scores.

    Raises:
        FormatError: it is no log of version 2, neither `.eval` nor JSON.
    """
    if path.suffix.lower() == ".eval":
        # Only here: an exported task imports this module where Inspect is, and DuckDB is not.
        from connectors.suites.inspect_log_file import read_eval

        log = read_eval(path)
    else:
        log = json_file(path)
    if not isinstance(log, Mapping) or log.get("version") != _LOG_VERSION or not isinstance(log.get("eval"), Mapping):
        raise FormatError(
            f"{path}: must be a log of Inspect of version {_LOG_VERSION}, as JSON (write it with `inspect log convert"
            " --to json`)"
        )
    samples = [one for one in log.get("samples") or () if isinstance(one, Mapping)]
    if not samples:
        raise FormatError(f"{path}: must have one sample at least; it has none (run it with its samples logged)")
    pairs = [_sample(one) for one in samples]
    cases = {case.id: case for case, _ in pairs}
    about = log["eval"]
    dataset = about.get("dataset") or {}
    return ForeignRun(
        dataset=str(dataset.get("name") or about.get("task") or path.name),
        agent=str(about.get("model") or "inspect"),
        started_at=_us(about.get("created"), path),
        cases=list(cases.values()),
        results=[result for _, result in pairs],
    )


def task_file(dataset: str, agent: str) -> str:
    """A task of Inspect, as Python: its solver asks our agent, its scorer are the checks of the cases.

    Args:
        dataset: path of the data set, seen from where the task is run.
        agent: as `--agent` names it.
    """
    return _TASK.format(dataset=json.dumps(dataset), agent=json.dumps(agent))


_TASK: Final = '''"""Asks an agent the cases of a data set under Inspect; written by `aftercall eval export`."""

from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import Score, accuracy, scorer, stderr
from inspect_ai.solver import solver

from connectors.agents.naming import agent_named
from connectors.suites.inspect_ai import samples_out
from connectors.suites.reading import read_dataset
from aftercall.evals import Scorer
from aftercall.evals.answer import answer_of

CASES = {{case.id: case for case in read_dataset(Path({dataset}))}}
AGENT = agent_named({agent})
SCORER = Scorer()
SCORER.prepare(CASES.values())


@solver
def ask():
    async def solve(state, generate):
        import asyncio

        answer = await asyncio.to_thread(AGENT.ask, CASES[state.sample_id], 60.0)
        state.output.completion = answer.text
        kept = {{"output": answer.output, "tool_calls": answer.tool_calls, "attrs": dict(answer.attrs)}}
        state.store.set("answer", kept)
        return state

    return solve


@scorer(metrics=[accuracy(), stderr()])
def checks():
    async def score(state, target):
        answer = answer_of(state.store.get("answer"), 0.0)
        result = SCORER.score(CASES[state.sample_id], answer)
        return Score(value=result.score or 0.0, answer=answer.text, explanation=result.reason)

    return score


@task
def suite():
    samples = [Sample(**sample) for sample in samples_out(CASES.values())]
    return Task(dataset=MemoryDataset(samples), solver=ask(), scorer=checks())
'''


def _with_targets(case: EvalCase) -> EvalCase:
    """A sample as it was written: right with any target of a list, and with what is ours."""
    if isinstance(case.expected, list) and case.expected:
        case = replace(case, expected=None, checks=({"type": _ANY, "value": case.expected},))
    elif case.expected == "":  # how samples say that they have none
        case = replace(case, expected=None)
    metadata = dict(case.metadata)
    ours = metadata.pop(_OURS, None)
    if not isinstance(ours, Mapping):
        return case
    return replace(
        case,
        expected=ours.get("expected", case.expected),
        checks=tuple(ours.get("checks", case.checks)),
        tags=tuple(ours.get("tags", ())),
        metadata=metadata,
    )


def _is_of_targets(case: EvalCase) -> bool:
    return len(case.checks) == 1 and case.expected is None and case.checks[0].get("type") == _ANY


def _is_text(expected: Any) -> bool:
    return expected is None or isinstance(expected, str)


def _target(expected: Any) -> str | list[str]:
    return expected if isinstance(expected, str) else "" if expected is None else json.dumps(expected)


def _input(given: Any) -> Any:
    """Inspect takes text or messages."""
    messages = isinstance(given, list) and all(isinstance(one, Mapping) and "role" in one for one in given)
    return given if isinstance(given, str) or messages else json.dumps(given, ensure_ascii=False)


def _sample(sample: Mapping[str, Any]) -> tuple[EvalCase, CaseResult]:
    case = EvalCase(input=_plain_messages(sample.get("input")), id=str(sample.get("id", "")))
    scores = sample.get("scores")
    found = [
        Scored(str(name), value, "" if value is not None else "its value is no score from 0 to 1", value is None)
        for name, one in (scores.items() if isinstance(scores, Mapping) else ())
        for value in [foreign_score(one.get("value") if isinstance(one, Mapping) else None)]
    ]
    known = [one.score for one in found if one.score is not None]
    error = "the run ended with an error" if sample.get("error") else None if known else "no scorer gave a score"
    took = sample.get("total_time")
    return case, CaseResult(
        case_id=case.id,
        input_hash=case.input_hash,
        score=0.0 if sample.get("error") else min(known, default=None),
        error=error,
        latency_ms=1000.0 * took if isinstance(took, int | float) else float("nan"),
        checks=tuple(found),
        repeat=max(int(sample.get("epoch") or 1) - 1, 0),
    )


def _plain_messages(given: Any) -> Any:
    """Messages as samples have them: a log adds ids and sources."""
    if not isinstance(given, list):
        return given
    return [{"role": one.get("role"), "content": one.get("content")} for one in given if isinstance(one, Mapping)]


def _us(created: Any, path: Path) -> int:
    try:
        return to_us(datetime.fromisoformat(str(created)))
    except (TypeError, ValueError):
        raise FormatError(
            f"{path}, eval.created: must be a time; got {str(created)[:40]!r} (export it again)"
        ) from None
