"""Puts a run of a suite under `--inject`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aftercall.errors import UsageError
from aftercall.evals.faults.injection import Injections
from connectors.agents.agent import Agent
from connectors.agents.command_agent import CommandAgent
from connectors.agents.faulty_agent import FaultyAgent
from connectors.agents.python_agent import PythonAgent
from connectors.suites.fault_rows import FaultRunsFile, HandOn
from flows.evaluation.faults import FaultJudge, fault_report
from flows.evaluation.plan import EvalPlan


class UnderFaults:
    """The agent of a run with its tools under faults, and the file that keeps what it did about them.

    Without `--inject` the tools that `aftercall.evals.tool` wraps are only seen: they stand for the tool calls of an
    answer that reports none.
    """

    def __init__(self, agent: Agent, inject: str, seed: int = 0, log: Path | None = None) -> None:
        """Read `--inject`.

        Raises:
            UsageError: it is wrong, or nothing could break the tools of this agent.
            OSError: the log cannot be read.
        """
        self.injections = Injections.parse(inject, seed) if inject else Injections()
        if log is not None and not inject:
            raise UsageError("--fault-log: must stand beside --inject, the one of the proxy (give both)")
        if inject and log is None and not isinstance(agent, PythonAgent | CommandAgent):
            raise UsageError(
                "--inject: the tools of a service are broken by `aftercall eval proxy`, which stands before them"
                " (start it with the same --inject and --seed, and name its --log as --fault-log)"
            )
        self.agent = FaultyAgent(agent, self.injections, log)

    def close(self) -> None:
        """End the agent."""
        self.agent.close()

    def runs_file(
        self, path: Path, plan: EvalPlan, *, texts: bool = False, then: HandOn | None = None
    ) -> FaultRunsFile:
        """The file of runs, which stores what came of the faults with each result, and hands it on.

        Raises:
            RunsError: it cannot be written.
            StateError: a newer version of aftercall wrote it.
        """
        judge = FaultJudge(self.agent, plan.cases, plan.contracts)
        return FaultRunsFile(path, texts=texts, rows_of=judge, then=then)

    def report(self, file: FaultRunsFile, run_id: str) -> dict[str, Any] | None:
        """What came of the faults in a run; None without `--inject`."""
        if not self.injections.entries:
            return None
        return fault_report(file, run_id, self.injections, self.agent.unclaimed())
