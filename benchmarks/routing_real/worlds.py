"""Reads recorded sets as worlds in which the outcome of every arm on every task is known."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.real_sets import DATA
from models.arrays import F64, Bools

AGENT: Final = "OpenHands"
"""The agent whose runs of a model compete; others ran a few models only."""
MOST_MISSING: Final = 0.05
"""An arm that ran fewer than all but this share of a benchmark's tasks does not compete."""


class Phase(NamedTuple):
    """Tasks, each with what every arm makes of it; shape (tasks, arms) each.

    `success`: of calls that are `known`; False for others. `cost_usd`: nan where it was not recorded.
    """

    success: Bools
    known: Bools
    cost_usd: F64

    @property
    def rates(self) -> F64:
        """Successes per task of each arm; what is not known is none. Shape (arms,)."""
        rates: F64 = self.success.mean(axis=0)
        return rates

    @property
    def costs(self) -> F64:
        """Mean cost in USD of each arm's calls of which it is recorded; nan without any. Shape (arms,)."""
        recorded = ~np.isnan(self.cost_usd)
        n = recorded.sum(axis=0)
        total = np.where(recorded, self.cost_usd, 0.0).sum(axis=0)
        return np.where(n > 0, total / np.maximum(n, 1), np.nan)


class RecordedWorld(NamedTuple):
    """Arms, and phases one after the other, each as long as the others."""

    name: str
    arms: tuple[str, ...]
    phases: tuple[Phase, ...]


def worlds(folder: Path = DATA) -> tuple[list[RecordedWorld], list[str]]:
    """The worlds of the sets that are there, and the names of those that are not."""
    found: list[RecordedWorld] = []
    absent = []
    for name, read in (("openhands_index", _openhands), ("llmdrift", _llmdrift)):
        if (folder / name / "calls.jsonl.gz").exists():
            found += read(folder / name)
        else:
            absent.append(name)
    return found, absent


def _openhands(folder: Path) -> Iterator[RecordedWorld]:
    """One world for each benchmark: the models by one agent, on the tasks that all of them ran."""
    outcomes = _outcomes(folder)
    by_arm: dict[str, dict[str, dict[str, tuple[bool | None, float]]]] = defaultdict(lambda: defaultdict(dict))
    for call in _lines(folder / "calls.jsonl.gz"):
        if call["config"].partition("@")[0] == AGENT:
            # In the source a cost of 0 means that it was not recorded.
            fact = (outcomes.get(call["call_id"]), call["cost_usd"] or float("nan"))
            by_arm[call["task_type"]][call["model"]][call["attrs"]["task_id"]] = fact
    for benchmark, arms in sorted(by_arm.items()):
        most = max(map(len, arms.values()))
        if benchmark == "swe-bench-multimodal":
            most = min(map(len, arms.values()))  # later runs leave out a third of its tasks
        complete = {arm: facts for arm, facts in sorted(arms.items()) if len(facts) >= (1 - MOST_MISSING) * most}
        yield RecordedWorld(f"openhands_index, {benchmark}", tuple(complete), (_phase(list(complete.values())),))


def _llmdrift(folder: Path) -> Iterator[RecordedWorld]:
    """One world for each task type: two models, whose versions change behind their names after the first phase."""
    outcomes = _outcomes(folder)
    by_version: dict[str, dict[str, dict[str, dict[str, tuple[bool | None, float]]]]] = defaultdict(dict)
    for call in _lines(folder / "calls.jsonl.gz"):
        fact = (outcomes.get(call["call_id"]), call["cost_usd"] or float("nan"))
        versions = by_version[call["task_type"]].setdefault(call["model"], {})
        versions.setdefault(call["config"], {})[call["attrs"]["task_id"]] = fact
    for task_type, models in sorted(by_version.items()):
        names = sorted(models)
        before, after = ([models[name][sorted(models[name])[place]] for name in names] for place in (0, 1))
        yield RecordedWorld(f"llmdrift, {task_type}", tuple(names), (_phase(before), _phase(after)))


def _phase(arms: list[dict[str, tuple[bool | None, float]]]) -> Phase:
    shared = sorted(set.intersection(*(set(arm) for arm in arms)))
    success = np.array([[arm[task][0] is True for arm in arms] for task in shared])
    known = np.array([[arm[task][0] is not None for arm in arms] for task in shared])
    return Phase(success, known, np.array([[arm[task][1] for arm in arms] for task in shared]))


def _outcomes(folder: Path) -> dict[str, bool]:
    return {outcome["call_id"]: outcome["success"] for outcome in _lines(folder / "outcomes.jsonl.gz")}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
