"""What is replayed with segments is followed by a router that asks for one, from the file and from the snapshot."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aftercall.routes import Arm, FileSource, Routes, SnapshotSource
from harness.waiting import HANG_S
from system.commands import aftercall, assert_one_sentence, call, counts, lines, minute, outcome

pytestmark = pytest.mark.slow

RATES = {("long", "m-0"): 0.55, ("long", "m-1"): 0.9, ("short", "m-0"): 0.95, ("short", "m-1"): 0.7}
CONFIG = """
[task.summarise]
segments = ["long", "short", "empty"]
deny = ["m-2/*"]
"""
DEFAULT = Arm("careful")


def traffic() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rng = np.random.default_rng(18)
    calls, outcomes = [], []
    for number in range(1600):
        segment, model = [*RATES, ("long", "m-2")][number % 5]
        at = minute(number / 4)
        calls.append(call(number, occurred_at=at, model=model, segment=segment))
        good = bool(rng.random() < RATES.get((segment, model), 0.99))
        outcomes.append(outcome(number, occurred_at=minute(number / 4 + 5), success=good))
    return calls, outcomes


def test_a_router_has_the_arms_of_the_segment_that_it_asks_for(tmp_path: Path) -> None:
    calls, outcomes = traffic()
    (tmp_path / "calls.jsonl").write_bytes(lines(calls))
    (tmp_path / "outcomes.jsonl").write_bytes(lines(outcomes))
    (tmp_path / "aftercall.toml").write_text(CONFIG)
    files = ("--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl")
    done = aftercall(tmp_path, "replay", *files, "--out", "out", "--config", "aftercall.toml", "--json")
    assert counts(done)["calls"] == len(calls)
    now = datetime.fromisoformat(minute(405)).replace(tzinfo=UTC).timestamp()
    for source in (FileSource(tmp_path / "out" / "recommendations.jsonl"), SnapshotSource(tmp_path / "out")):
        routes = Routes(source, clock=lambda: now)
        assert routes.ready(HANG_S)
        best = {"long": "m-1", "short": "m-0"}
        for segment, model in best.items():
            drawn = [routes.route("summarise", DEFAULT, segment=segment, key=key) for key in range(200)]
            assert {route.reason for route in drawn} == {None}
            assert sum(route.model == model for route in drawn) > 180
            assert {route.model for route in drawn} <= {"m-0", "m-1"}
            assert all(0 < (route.propensity or 0) <= 1 for route in drawn)
        every = {routes.route("summarise", DEFAULT, key=key).model for key in range(200)}
        borrowed = {routes.route("summarise", DEFAULT, segment="empty", key=key).model for key in range(200)}
        assert every | borrowed <= {"m-0", "m-1"}
        assert routes.route("summarise", DEFAULT, segment="undeclared").reason == "unknown_task"
        routes.close()
    shown = aftercall(tmp_path, "insights", "summarise", "--snapshot", "out/outcomes.duckdb")
    # Of one of the two another arm is best than of all calls.
    assert "Where the segment is long: m-1" in shown.stdout or "Where the segment is short: m-0" in shown.stdout
    assert "1 arm is not allowed" in shown.stdout


def test_settings_that_contradict_each_other_end_with_one_sentence_and_code_2(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_bytes(lines([call(1)]))
    for text, *parts in (
        ('[task.a]\npinned = "m/v"\ndeny = ["m/*"]', "[task.a] pins 'm/v', which 'm/*' denies"),
        ('[task.a]\nallow = ["m/v"]\ndeny = ["m/*"]', "[task.a] allows 'm/v' and denies it"),
        ("[routing]\nfloor = -1", "routing.floor"),
        ('[routing]\nfloor = 0.5\n[task.a]\nallow = ["a/x", "b/x", "c/x"]', "routing.floor 0.5", "allows 3"),
        ("[task.a]\nmin_rate = 0.5", "task.a.min_rate is no setting"),
    ):
        (tmp_path / "bad.toml").write_text(text)
        done = aftercall(tmp_path, "replay", "--calls", "calls.jsonl", "--out", "out", "--config", "bad.toml")
        assert_one_sentence(done, 2, "bad.toml", *parts)
