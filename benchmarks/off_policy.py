"""Measures how often intervals of `aftercall evaluate-policy` hold the truth.

    python -m benchmarks.off_policy [--tasks 300] [--json]

Each task type is a world of its own with the same truth: sessions of three calls that succeed together more or less,
drawn by the SDK's `route()` by the key of the session, half of them among two of the three arms only, by weights that
change 50 times in six days. Failures are known after a median of 10 min, successes after 3 h, 40 % never. Calls and
outcomes are replayed, and the policies judged from the snapshot. `ope_coverage` is the least of the shares, over
estimates and policies, of task types whose interval of 95 % holds the truth.

In the second replay a success is answered twice as readily as a failure: there only the bounds can hold.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from aftercall.routes import Arm, Routes
from aftercall.routes.recommendations import read
from aftercall.times import format_time
from flows.replay import Replay, run
from flows.reports.evaluate_policy import PolicyRow, evaluate_policy
from flows.settings import load

ARMS: Final = (Arm("large", "v1"), Arm("medium", "v1"), Arm("small", "v1"))
RATES: Final = np.array([0.8, 0.7, 0.55])
TARGET: Final = np.array([0.1, 0.2, 0.7])
ALLOWED: Final = (None, None, None, ARMS[:2], ARMS[1:], ARMS[::2])
REACHED: Final = 5 / 6
"""Share of the sessions that may go to an arm: the same for each."""
CHANGES, CALLS_PER_SESSION, LEVEL = 50, 3, 0.1
BEGIN_US, DAY_US, MINUTE_US = 1_740_787_200_000_000, 86_400_000_000, 60_000_000
DAYS: Final = 6
EVEN, UNEVEN = (0.6, 0.6), (0.4, 0.8)
"""Shares of failures and of successes that are ever answered."""


class _Source:
    """What is recommended is put into the table by hand."""

    def open(self) -> _Source:
        return self

    def poll(self, table: object, timeout_s: float) -> None:
        """There is nothing to read."""

    def close(self) -> None:
        """Nothing is open."""


def judged(folder: Path, tasks: int, sessions: int, answered: tuple[float, float], seed: int) -> list[list[PolicyRow]]:
    """The policies of each task type as the snapshot of a replay tells them: followed, the weights, the small arm."""
    calls, outcomes = [], []
    for task in range(tasks):
        mine = _world(f"task-{task}", sessions, answered, np.random.default_rng([seed, task]))
        calls += mine[0]
        outcomes += mine[1]
    _write(folder / "calls.jsonl", calls)
    _write(folder / "outcomes.jsonl", outcomes)
    settings = load(None)
    run(Replay([folder / "calls.jsonl"], [folder / "outcomes.jsonl"], folder / "out", settings))
    weights = folder / "weights.json"
    weights.write_text(json.dumps({"/".join(arm): share for arm, share in zip(ARMS, TARGET.tolist(), strict=True)}))
    found = []
    for task in range(tasks):
        snapshot, name = folder / "out" / "outcomes.duckdb", f"task-{task}"
        one = evaluate_policy(snapshot, name, f"weights:{weights}").policies
        found.append([*one, evaluate_policy(snapshot, name, "fixed:small/v1").policies[1]])
    return found


def coverage(found: list[list[PolicyRow]]) -> dict[str, float]:
    """The share of task types whose interval holds the truth, by policy and estimate."""
    shares = {}
    for at, (name, policy) in enumerate((("weights", TARGET), ("fixed", np.array([0.0, 0.0, 1.0]))), 1):
        truth = float(policy @ RATES)
        # IPS counts calls that could not go to an arm as failures.
        for kind, value in (("ips", truth * REACHED), ("snips", truth), ("dr", truth)):
            held = [getattr(rows[at].judged, kind) for rows in found]
            shares[f"{name}_{kind}"] = float(np.mean([one.low <= value <= one.high for one in held]))
        held_by = [rows[at].judged.bounds for rows in found]
        shares[f"{name}_bounds"] = float(np.mean([low <= truth <= high for low, high in held_by]))
    return shares


def ope_coverage(shares: dict[str, float]) -> float:
    """The least coverage of an estimate."""
    return min(share for name, share in shares.items() if not name.endswith("bounds"))


def _world(
    task: str, sessions: int, answered: tuple[float, float], rng: np.random.Generator
) -> tuple[list[tuple[int, dict[str, Any]]], list[tuple[int, dict[str, Any]]]]:
    """Calls and outcomes with their times in us."""
    now = [0.0]
    routes = Routes(_Source(), clock=lambda: now[0])
    table = routes._table  # noqa: SLF001 - what a thread would put there, at the time of this world
    end = BEGIN_US + DAYS * DAY_US
    calls, outcomes = list[tuple[int, dict[str, Any]]](), list[tuple[int, dict[str, Any]]]()
    at = np.sort(rng.integers(BEGIN_US, end - 10 * MINUTE_US, sessions))
    seq = 0
    for number, begin in enumerate(at.tolist()):
        if number * CHANGES >= seq * sessions:
            seq += 1
            table.put(read(_recommendation(task, seq, rng.dirichlet([4, 2, 2]) * 0.85 + 0.05)))
            table.complete_now()
        now[0] = begin / 1e6
        session, allowed = f"{task}-{number}", ALLOWED[int(rng.integers(len(ALLOWED)))]
        level = LEVEL if rng.random() < 0.5 else -LEVEL
        for turn in range(CALLS_PER_SESSION):
            route = routes.route(task, ARMS[0], key=session, allowed=allowed)
            assert route.propensity is not None, route
            called = begin + turn * MINUTE_US
            call: dict[str, Any] = {
                "call_id": f"{session}-{turn}",
                "occurred_at": format_time(called),
                "task_type": task,
            }
            call |= {"model": route.model, "config": route.config, "session_id": session}
            call |= {"recommendation_id": route.recommendation_id, "propensity": route.propensity, "cost_usd": 0.001}
            calls.append((called, call))
            success = bool(rng.random() < RATES[ARMS.index(route.arm)] + level)
            delay = rng.lognormal(np.log(180 if success else 10), 1.0) * MINUTE_US
            if rng.random() < answered[success] and called + delay < end:
                said = int(called + delay)
                outcome = {"outcome_id": "o", "call_id": call["call_id"], "occurred_at": format_time(said)}
                outcomes.append((said, outcome | {"source": "human_review", "success": success}))
    routes.close(0)
    return calls, outcomes


def _recommendation(task: str, seq: int, weights: Iterable[float]) -> str:
    arms = [{"model": arm.model, "config": arm.config, "weight": w} for arm, w in zip(ARMS, weights, strict=True)]
    until = format_time(BEGIN_US + (DAYS + 1) * DAY_US)
    segments = [{"segment": None, "arms": arms}]
    record = {"task_type": task, "seq": seq, "recommendation_id": f"{task}-{seq}", "valid_until": until}
    return json.dumps(record | {"segments": segments})


def _write(path: Path, records: list[tuple[int, dict[str, Any]]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for _, record in sorted(records, key=lambda one: one[0]):
            file.write(json.dumps(record) + "\n")


def main() -> None:
    """Print coverage as a table, or as one JSON object."""
    parser = argparse.ArgumentParser(description="Coverage of evaluate-policy.")
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--sessions", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        even = coverage(judged(Path(first), asked.tasks, asked.sessions, EVEN, asked.seed))
        uneven = coverage(judged(Path(second), asked.tasks, asked.sessions, UNEVEN, asked.seed + 1))
    bounds = min(share for name, share in uneven.items() if name.endswith("bounds"))
    result = {"ope_coverage": ope_coverage(even), "bounds_coverage_uneven": bounds, "even": even, "uneven": uneven}
    if asked.json:
        print(json.dumps(result, indent=2))
        return
    print(f"ope_coverage {result['ope_coverage']:.3f}, bounds under uneven silence {bounds:.3f}")
    for name, share in even.items():
        print(f"{name:16} {share:.3f}   uneven {uneven[name]:.3f}")


if __name__ == "__main__":
    main()
