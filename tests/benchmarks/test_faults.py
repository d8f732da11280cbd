"""`make bench-faults` finds what is lost, doubled, wrong, silent; a fault that the pipeline survives counts nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from benchmarks import report, sizes
from benchmarks.faults import __main__ as command
from benchmarks.faults.findings import COUNTS, Findings, count_tracebacks
from benchmarks.faults.records import homonyms
from benchmarks.faults.stage import Stage
from benchmarks.kafka_broker import Broker
from benchmarks.kill_process import Pipeline
from system.forks import spawn


@pytest.mark.slow
@pytest.mark.kafka
def test_what_was_changed_after_a_fault_is_found(kafka_is_here: None, tmp_path: Path) -> None:
    with Broker(brief=True) as broker:
        stage = Stage(broker, tmp_path, "homonyms", 7, spawn)
        try:
            homonyms(stage)
            assert stage.judge() == Findings()
            published = (stage.pipeline.out / "outcomes.duckdb").resolve()
            changed = published.with_name("changed.duckdb")
            shutil.copyfile(published, changed)
            with duckdb.connect(str(changed)) as tables:
                tables.execute("DELETE FROM statements WHERE rowid = 3")
                tables.execute("INSERT INTO calls SELECT * FROM calls LIMIT 1")
                tables.execute("UPDATE dead_letters SET sha256 = 'another' WHERE rowid < 2")
            changed.replace(published)
            found = stage.judge()
            assert (found.lost, found.doubled, found.wrong) == (1, 1, 4)  # and two sums: calls, statements
            stage.says("a word that it never says")
            stage.refused(0, "words that it does not have", options=("--no-such-option",))
            assert found.silent == 2
            assert found.wrong == 5
        finally:
            stage.close()


def test_tracebacks_are_counted_but_for_those_that_must_be(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, "out", "", "127.0.0.1:1")
    head = "Traceback (most recent call last):\n  File 'x', line 1\n"
    pipeline.log.write_text(f"{head}KeyError: a defect of ours\nother words\n{head}ValueError: not foreseen\n")
    found = Findings()
    count_tracebacks(found, pipeline, ("KeyError",))
    assert {name: getattr(found, name) for name in COUNTS} == dict.fromkeys(COUNTS, 0) | {"tracebacks": 1}
    assert "not foreseen" in found.notes[0]


@pytest.mark.parametrize(("costs", "power"), [((1, 3, 5, 9), 1.0), ((1, 2, 5, 17), 2.0), ((1, 1, 1.1, 1.2), 0.0)])
def test_a_cost_grows_with_a_power_of_the_size(costs: tuple[float, ...], power: float) -> None:
    rows = [{"size": size, "seconds": cost} for size, cost in zip((0, 1, 2, 4), costs, strict=True)]
    assert sizes.exponent(rows, "seconds") == power


def test_the_sections_have_a_row_for_each_fault_and_size() -> None:
    one = {"what": "A fault", "seconds": 1.0, "notes": []} | dict.fromkeys(COUNTS, 0)
    result = {"date": "2026-11-29", "sizes": {"faults": 1}, "figures": dict.fromkeys(COUNTS, 0), "details": {"a": one}}
    section = command.markdown(result)
    assert "| A fault | 0 | 0 | 0 | 0 | 0 |" in section
    assert section.splitlines()[-1] == "| **all 1** | **0** | **0** | **0** | **0** | **0** |"
    rows = [{"size": size, "seconds": cost, "mib": 100.0} for size, cost in ((1, 1.0), (10, 3.0), (20, 5.0))]
    lines = sizes.markdown({"date": "2026-11-29", "details": {"outcomes": rows}}).splitlines()
    assert "| outcomes | 20 | 5.0 | 100 | n^1.00 and n^0.00 |" in lines
    assert max(map(len, [*lines, *section.splitlines()])) <= 130


def test_faults_that_are_caused_again_take_the_place_of_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    commits = iter(("one", "two"))
    monkeypatch.setattr(report, "commit", lambda: next(commits))
    bad = Findings()
    bad.add("lost", "a row", 3)
    command.renew({"killed": bad, "homonyms": bad}, {"killed": 1.0, "homonyms": 2.0}, 7)
    path = command.renew({"killed": Findings()}, {"killed": 4.0}, 7)
    result = json.loads(path.read_text())
    assert result["figures"]["faults"] == 2
    assert result["figures"]["lost"] == 3
    assert {name: (one["commit"], one["lost"]) for name, one in result["details"].items()} == {
        "killed": ("two", 0),
        "homonyms": ("one", 3),
    }
