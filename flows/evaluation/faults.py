"""Judges what an agent did about broken tools, and reports it: per fault, and by the nine failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aftercall.contracts.contract import Contract
from aftercall.evals.case import EvalCase
from aftercall.evals.faults.injection import Injections
from aftercall.evals.faults.judged import REACTIONS, SURVIVED, Ended, reactions
from aftercall.evals.faults.kinds import FAILURES
from aftercall.evals.faults.survival import survivals
from aftercall.evals.faults.uses import SeenUse
from aftercall.evals.results import PASS_AT, CaseResult
from aftercall.printable import printable
from connectors.agents.faulty_agent import FaultyAgent
from connectors.suites.fault_rows import FaultRows, FaultRunsFile, StoredReaction, StoredSurvival

if TYPE_CHECKING:
    from rich.console import Console

CASES_SHOWN = 5


class FaultJudge:
    """Gives what is stored with each result: what the agent did about the tools that were broken in it."""

    def __init__(self, agent: FaultyAgent, cases: Sequence[EvalCase], contracts: Sequence[Contract]) -> None:
        """Keep the cases by id; the rules of all contracts judge together."""
        self._agent, self._contracts = agent, tuple(contracts)
        self._tags = {case.id: case.tags for case in cases}
        self._rules = tuple(rule for contract in contracts for rule in contract.rules)

    def __call__(self, result: CaseResult) -> FaultRows:
        """Of one result; asked once for each."""
        seen, record = self._agent.broken((result.case_id, result.repeat, result.attempt))
        ended = Ended(self._passed(result), result.error, record)
        if not record and result.error is None:  # nothing is known of a question that another process asked
            return FaultRows(record=record)
        place = (result.case_id, result.repeat, result.attempt)
        found = reactions(seen, ended, self._together())
        shown = [
            StoredSurvival(*place, contract.name, one.failure, one.survived, one.reason)
            for contract in self._contracts
            for one in survivals(
                reactions(seen, ended, contract), ended, contract, self._tags.get(result.case_id, ()), seen
            )
        ]
        stored = (StoredReaction(*place, one.kind, one.tool, one.outcome, one.reason) for one in found)
        return FaultRows(tuple(stored), tuple(shown), frozenset(_names(seen, record)), record)

    def _passed(self, result: CaseResult) -> bool | None:
        """By the checks of the case itself: rules of contracts judge a fault before these."""
        if result.error is not None and result.score == 0:
            return False
        names = {contract.name for contract in self._contracts}
        own = [one for one in result.checks if one.counts and one.check.partition(".")[0] not in names]
        scores = [one.score for one in own if one.score is not None]
        return min(scores) >= PASS_AT if scores else None

    def _together(self) -> Contract | None:
        return Contract("all", "1", self._rules) if self._rules else None


def _names(seen: Iterable[Any], record: Mapping[str, Any]) -> set[str]:
    calls = record.get("tool_calls") or ()
    named = {call.get("name") for call in calls if isinstance(call, Mapping)}
    return {use.tool for use in seen} | {name for name in named if isinstance(name, str)}


def fault_report(
    file: FaultRunsFile, run_id: str, injections: Injections, unclaimed: Sequence[SeenUse] = ()
) -> dict[str, Any]:
    """What came of each fault in a run, as plain JSON.

    `faults` has per kind and tool how often each reaction came, and cases of those that were not survived. `unused`
    are the entries of `--inject` whose tool the agent never called: they have tested nothing. `idle` are those whose
    tool it called and that never struck, or changed nothing. `without_case` are calls of tools in the log of a proxy
    that named no case of the run: they were broken, and what the agent did about them cannot be judged.
    """
    stored = file.reactions(run_id)
    tools = file.tools_seen(run_id) | {use.tool for use in unclaimed}
    unused = [entry.name for entry in injections.never_called(tools)]
    struck = {(one.fault, one.tool) for one in stored}
    struck_there = struck | {(str(use.fault), use.tool) for use in unclaimed if use.applied}
    idle = [
        entry.name
        for entry in injections.entries
        if entry.name not in unused and not any(_is_of(entry.kind, entry.tool, *pair) for pair in struck_there)
    ]
    return {
        "inject": injections.text,
        "seed": injections.seed,
        "faults": [_of_fault(kind, tool, stored) for kind, tool in sorted(struck)],
        "unused": unused,
        "idle": idle,
        "without_case": len(unclaimed),
    }


def _is_of(kind: str, glob: str, fault: str, tool: str) -> bool:
    from aftercall.contracts.globs import Globs

    return kind == fault and bool(Globs([glob]).match(tool))


def _of_fault(kind: str, tool: str, stored: Iterable[StoredReaction]) -> dict[str, Any]:
    own = [one for one in stored if (one.fault, one.tool) == (kind, tool)]
    counts = Counter(one.outcome for one in own)
    return {
        "fault": kind,
        "tool": tool,
        "outcomes": {name: counts[name] for name in REACTIONS},
        "cases": [
            {"case": one.case_id, "outcome": one.outcome, "reason": one.reason}
            for one in own
            if one.outcome not in SURVIVED
        ][:CASES_SHOWN],
    }


def fault_sentences(report: Mapping[str, Any]) -> list[str]:
    """Warnings: what tested nothing, and what could not be judged."""
    found = [
        f"--inject {name}: the agent never called such a tool, so nothing was tested (is the name right?)"
        for name in report["unused"]
    ]
    found += [f"--inject {name}: it struck no call, or changed nothing in any" for name in report["idle"]]
    if report["without_case"]:
        found.append(
            f"--fault-log: {report['without_case']:,} calls of tools named no case, so what came of them is not judged"
            " (hand the header baggage on from the agent to its tools)"
        )
    return found


def print_faults(report: Mapping[str, Any], console: Console) -> None:
    """Print a line per fault, and below it the cases that were not survived."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("fault", overflow="fold")
    for name in REACTIONS:
        table.add_column(name.replace(" ", "\n", 1), justify="right")
    for one in report["faults"]:
        counts = (str(one["outcomes"][name] or "-") for name in REACTIONS)
        table.add_row(Text(printable(f"{one['fault']}:{one['tool']}")), *counts)
    console.print()
    console.print(table)
    for one in report["faults"]:
        for case in one["cases"]:
            words = f"  {one['fault']}:{one['tool']}, {case['case']}, {case['outcome']}: {case['reason']}"
            console.print(Text(printable(words)), soft_wrap=True)


def failures_report(contract: Contract, stored: Sequence[StoredSurvival]) -> dict[str, Any]:
    """Of each of the nine failures whether agents have been seen to survive it, as plain JSON, agent by agent.

    An agent is taken without what was injected. `state` is `survived` where every answer that was put through it
    survived, `not survived` where one did not; `not seen` where no case led there. Only its newest run with any counts,
    of each failure: what was mended is no failure any more.
    """
    by_agent: dict[str, list[StoredSurvival]] = {}
    for one in stored:
        by_agent.setdefault(one.agent.partition(" --inject ")[0], []).append(one)
    return {
        "contract": contract.name,
        "agents": [
            {"agent": agent, "failures": [_of_failure(name, own) for name in FAILURES]}
            for agent, own in sorted(by_agent.items())
        ],
    }


def _of_failure(name: str, own: Sequence[StoredSurvival]) -> dict[str, Any]:
    newest = next((one.run_id for one in own if one.failure == name), None)
    of_it = [one for one in own if one.failure == name and one.run_id == newest]
    lost = next((one for one in of_it if not one.survived), None)
    shown = lost or (of_it[0] if of_it else None)
    return {
        "failure": name,
        "state": "not seen" if shown is None else "survived" if lost is None else "not survived",
        "answers": len(of_it),
        "survived": sum(one.survived for one in of_it),
        "case": None if shown is None else shown.case_id,
        "reason": None if shown is None else shown.reason,
    }


def print_failures(report: Mapping[str, Any], console: Console) -> None:
    """Print the nine failures of each agent."""
    from rich.text import Text

    for agent in report["agents"]:
        console.print(Text(printable(f"{agent['agent']}, by {report['contract']}")), soft_wrap=True)
        for one in agent["failures"]:
            line = f"  {one['failure']:<15}{one['state']}"
            if one["answers"]:
                line += f" ({one['survived']} of {one['answers']}): {one['case']}, {one['reason']}"
            console.print(Text(printable(line)), soft_wrap=True)
