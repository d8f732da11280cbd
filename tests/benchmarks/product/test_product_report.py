from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.product import base, held, record, sections
from benchmarks.product.processes import BenchmarkError, Build, Running
from benchmarks.product.runs import Measured
from benchmarks.product.service import Service, Topics
from benchmarks.product.sizes import EPOCH_S, SIZES
from benchmarks.product.stages import STAGES
from benchmarks.product.steady import Window
from benchmarks.product.tables import WIDTH, show
from benchmarks.product.traffic import Shape

COUNTS = {"records": 100, "calls": 50}
PRESENT, BASE = Build("present", Path(), Path()), Build("base", Path(), Path())


class Runs:
    """Stands for runs of both builds: the present one needs half the time of the base, and each second run is slow."""

    def __init__(self) -> None:
        self.builds: list[str] = []

    def __call__(self, build: Build, _shape: Shape) -> Measured:
        self.builds.append(build.name)
        slow = 2 if len(self.builds) > 2 else 1
        return Measured(1_000_000, (10.0 if build is PRESENT else 20.0) * slow + 1, 1.0, COUNTS)


def window(cores: float, epochs: list[float]) -> Window:
    return Window(cores, 210.0, 10.0, epochs, 90.0, [0.5] * 98 + [1.5] * 2, 1000.0, 0.0)


@pytest.fixture
def tables() -> dict[str, Any]:
    compared = sections._compared(Runs(), Shape(1), PRESENT, BASE, 2)
    alone = sections._compared(Runs(), Shape(1), PRESENT, None, 1)
    ns = dict.fromkeys(STAGES, 1234.5)
    stage = {"records": 10, "ns": ns, "whole_ns": sum(ns.values()), "plain_ns": 17_000.0}
    windows = {"epochs": window(0.5, [10.0, 12.0]).plain(), "none": window(0.3, []).plain()}
    written = {"mb_per_epoch": 100.0, "state_mb_per_epoch": 60.0}
    state = {**written, "core_share": 0.2, "worst_epoch_s": 2.0, "windows": windows}
    row = {"held": 5_000_000, "records": 10, "per_cpu_second": 40_000.0, "resume_s": 3.5, "load_cpu_s": 60.0}
    return {
        "kafka": [compared | {"statements": 1}, alone | {"statements": 2}, compared | {"statements": 3}],
        "replay": [compared | {"traffic": "dense"}, compared | {"traffic": "over 14 d"}],
        "stages": {"replay": stage, "kafka": stage},
        "groups": [alone | {"groups": 10_000}],
        "processes": [alone | {"processes": 1}, alone | {"processes": 2, "present": alone["present"] / 1.25}],
        "steady": windows["epochs"],
        "held": {"rows": [row], "start_s": 1.0, "state": state},
    }


def test_the_figures_have_their_names(tables: dict[str, Any]) -> None:
    found = sections.figures(tables)
    assert tuple(found) == sections.FIGURES
    assert found["ratio_to_base_1"] == pytest.approx(2.0)
    assert found["events_per_cpu_second_kafka"] == pytest.approx(100_000)
    assert found["cpu_two_processes_over_one"] == pytest.approx(1.25)
    assert found["p99_s_steady"] == pytest.approx(1.5)


def test_without_the_base_commit_there_are_no_ratios_and_all_other_figures(tables: dict[str, Any]) -> None:
    for row in tables["kafka"]:
        row["ratio"] = None
    missing = set(sections.FIGURES) - set(sections.figures(tables))
    assert missing == {"ratio_to_base_1", "ratio_to_base_3"}


def test_runs_that_are_compared_take_turns_and_the_best_of_each_counts() -> None:
    runs = Runs()
    row = sections._compared(runs, Shape(1), PRESENT, BASE, 2)
    assert runs.builds == ["base", "present", "present", "base"]
    assert (row["base"], row["present"]) == (pytest.approx(50_000), pytest.approx(100_000))
    assert row["same_counts"]


def test_a_run_that_took_less_than_a_start_has_no_rate_and_is_never_the_best() -> None:
    short = Measured(100, 1.0, 1.5, COUNTS)
    assert math.isnan(short.per_cpu_second)
    assert math.isnan(sections._best([short]))
    assert sections._best([short, short._replace(cpu_s=2.5)]) == pytest.approx(100)


def test_the_tables_are_80_columns_wide_and_show_every_section(tables: dict[str, Any]) -> None:
    out = io.StringIO()
    show(tables, sections.figures(tables), Console(width=WIDTH, file=out))
    printed = out.getvalue()
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed
    for text in ("statements", "over 14 d", "decode", "10,000", "1.50", "5,000,000", "ratio_to_base_3"):
        assert text in printed


def test_an_epoch_is_what_it_writes_and_what_it_costs_over_none(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter((window(0.3, []), window(0.5, [EPOCH_S, EPOCH_S + 2])))
    monkeypatch.setattr(held, "_window", lambda *_: next(measured))
    state = held._state(Mock(spec=Service), Mock(spec=Topics), SIZES["ci"])
    assert state["mb_per_epoch"] == pytest.approx(100.0)
    assert state["core_share"] == pytest.approx(0.2)
    assert state["worst_epoch_s"] == pytest.approx(2.0)


def test_figures_of_full_size_are_those_of_their_names() -> None:
    full = SIZES["full"]
    assert full.held[-1] == 5_000_000
    assert {1, 3} <= set(full.ratios) <= set(full.statements)
    assert full.state_s[0] % EPOCH_S == 0


def test_sections_are_renewed_one_by_one(
    tables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    size, took = SIZES["full"], dict.fromkeys(tables, 1.0)
    record.renew({"groups": tables["groups"], "processes": tables["processes"]}, took, size)
    record.renew({name: tables[name] for name in tables if name != "processes"}, took, size)
    again = [row | {"present": row["present"] * 3} for row in tables["groups"]]
    recorded = json.loads(record.renew({"groups": again}, took | {"groups": 2.0}, size).read_text())
    assert set(recorded["figures"]) == set(sections.FIGURES)
    assert recorded["details"]["groups"][0]["present"] == pytest.approx(3 * tables["groups"][0]["present"])
    assert recorded["details"]["measured"]["groups"]["seconds"] == 2.0
    assert set(recorded["details"]["measured"]) == set(tables)


def test_a_clone_without_the_base_commit_is_answered_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="does not have"):
        base.base(tmp_path / "base", "0" * 40)


def test_a_run_that_fails_is_an_error_with_its_log(tmp_path: Path) -> None:
    running = Running(base.present(), ("replay", "--calls", "missing.jsonl", "--out", "out"), tmp_path / "replay.log")
    with pytest.raises(BenchmarkError, match="exit code"):
        running.wait()


def test_cpu_time_is_that_of_the_whole_tree_while_it_runs_and_after_it(tmp_path: Path) -> None:
    module = tmp_path / "spinner.py"
    module.write_text(
        "import subprocess, sys, time\n"
        "if sys.argv[1:]:\n"
        "    while time.process_time() < 0.3: pass\n"
        "    print('spun', file=sys.stderr, flush=True)\n"
        "    sys.stdin.read()\n"
        "else:\n"
        "    child = subprocess.Popen([sys.executable, __file__, 'x'], stdin=subprocess.PIPE)\n"
        "    time.sleep(0.1)\n"
        "    while time.process_time() < 0.2: pass\n"
        "    while not __import__('os').path.exists('go'): time.sleep(0.01)\n"
        "    child.communicate()\n"
    )
    log = tmp_path / "spinner.log"
    running = Running(base.present()._replace(root=tmp_path), ("-m", "spinner"), log)
    try:
        while "spun" not in log.read_text():
            assert not running.ended()
        seen = running.cpu_s()
        (tmp_path / "go").touch()
        assert running.wait() >= 0.5
    finally:
        running.kill()
    assert seen >= 0.29
