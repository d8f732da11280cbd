"""What a run of a suite adds to the time that its agent takes: asking, scoring, and a row on the disk for each case."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from aftercall.evals.case import EvalCase
from connectors.agents.python_agent import PythonAgent
from connectors.suites.runs_file import RunsFile
from flows.evaluation.asking import How
from flows.evaluation.plan import EvalPlan, scorer_of
from flows.evaluation.running import evaluate

CASES: Final = 1000
ROUNDS: Final = 3


def figures(builds: int, rng: np.random.Generator) -> dict[str, float]:  # noqa: ARG001 - as the other parts
    """Milliseconds a case of an agent that answers at once, the least of some rounds; and of the processor."""
    cases = tuple(EvalCase(id=f"c{at}", input=f"{at}", expected=f"{at}") for at in range(CASES))
    plan = EvalPlan("cases", cases, "str")
    wall, cpu = zip(*(_round(plan) for _ in range(ROUNDS)), strict=True)
    return {"overhead_ms_per_case": min(wall), "overhead_cpu_ms_per_case": min(cpu)}


def _round(plan: EvalPlan) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder, RunsFile(Path(folder) / "runs.sqlite") as file:
        agent, scorer = PythonAgent("str", str), scorer_of(plan)
        began, used = time.perf_counter(), time.process_time()
        run = evaluate(plan, agent, scorer, file, How())
        took = time.perf_counter() - began, time.process_time() - used
        assert run.summary.pass_rate == 1
        file.end(run.run.run_id)
        agent.close()
    return took[0] * 1000 / CASES, took[1] * 1000 / CASES
