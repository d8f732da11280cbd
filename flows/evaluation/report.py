"""Makes of a run what `aftercall eval run --json` prints, and the file for CI (`--junit`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from aftercall.errors import UserError
from aftercall.evals.summary import CaseSummary, by_case
from aftercall.printable import printable
from flows.evaluation.running import Evaluated
from flows.evaluation.verdict import Ending


def report_of(evaluated: Evaluated, ending: Ending) -> dict[str, Any]:
    """The run, its result, and how it ended, as plain JSON values."""
    run = evaluated.run
    return {
        "run_id": run.run_id,
        "dataset": run.dataset,
        "agent": run.agent,
        "contracts": [contract.label for contract in evaluated.plan.contracts],
        "repeats": run.repeats,
        "recorded": run.recorded,
        "resumed_answers": evaluated.resumed,
        **evaluated.summary.as_dict(),
        "exit_code": int(ending.code),
        "reason": ending.reason,
    }


def write_junit(evaluated: Evaluated, path: Path) -> None:
    """Write one test per case: a failure where it did not pass, an error where the agent raised or nothing could judge.

    Names and reasons alone: no text of a case or an answer.

    Raises:
        UserError: the file cannot be written.
    """
    summaries = by_case(evaluated.plan.cases, evaluated.results)
    suite = ET.Element("testsuite", name=printable(evaluated.plan.dataset), tests=str(len(summaries)))
    for summary in summaries:
        suite.append(_test(summary, evaluated.plan.dataset))
    suite.set("failures", str(len(suite.findall("*/failure"))))
    suite.set("errors", str(len(suite.findall("*/error"))))
    suite.set("time", f"{sum(float(test.get('time', '0')) for test in suite):.3f}")
    try:
        ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as wrong:
        raise UserError(f"{path}: --junit must name a file that can be written; {wrong.strerror} (check it)") from None


def _test(summary: CaseSummary, dataset: str) -> ET.Element:
    took_s = sum(one.latency_ms for one in summary.results) / 1000
    test = ET.Element("testcase", classname=printable(dataset), name=printable(summary.case.id), time=f"{took_s:.3f}")
    if not summary.passed:
        errors = any(one.error is not None for one in summary.results)
        ET.SubElement(test, "error" if errors else "failure", message=printable(summary.reason))
    return test
