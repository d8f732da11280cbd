"""What the README and the pages that continue it show is what happens: commands, outputs, queries."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from aftercall import open_snapshot
from aftercall.contracts.syntax import contract_of
from flows.settings import load
from system.commands import aftercall
from system.documents import (
    DEMO,
    DOCUMENTS,
    README,
    ROOT,
    WIDTH,
    Shell,
    blocks,
    document,
    missing,
    run,
    section,
    shells,
)
from system.runs import sums_that_fail

CONTINUED = ("docs/files.md", "docs/configuration.md")
"""Pages whose commands continue the README's example, in this order."""
QUERIES = document("docs/queries.md")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[Shell, str]]]:
    """The folder in which the example was carried out from top to bottom, and what each block printed."""
    folder = tmp_path_factory.mktemp("readme")
    # tests/kafka/test_readme_kafka.py carries out the one, tests/flows/evaluation/test_sheet_to_gate.py the other.
    elsewhere = (section("Kafka"), section("Suites"))
    pages = [README.replace(elsewhere[0], "").replace(elsewhere[1], ""), *map(document, CONTINUED)]
    printed = []
    for block in [block for page in pages for block in shells(page) if DEMO not in block.commands]:
        printed.append((block, run(block.commands, folder)))
        if "mkdir -p mine && cd mine" in block.commands:
            folder /= "mine"
    return folder, printed


@pytest.mark.slow
def test_every_command_of_the_documents_prints_what_they_show(
    example: tuple[Path, list[tuple[Shell, str]]],
) -> None:
    _, printed = example
    assert {block.commands: missing(block.shown, out) for block, out in printed if missing(block.shown, out)} == {}
    assert sum(bool(block.shown) for block, _ in printed) >= 5


@pytest.mark.slow
def test_every_query_answers_on_the_readmes_own_example(example: tuple[Path, list[tuple[Shell, str]]]) -> None:
    """One test for all: in workers of their own each query would have the example carried out again."""
    folder, _ = example
    with open_snapshot(folder / "out") as base:
        answers = {query: base.execute(query).fetchall() for query in _queries()}
    # The example has no alert, tools, chains, segments and fallbacks, and keeps no texts; everything else it has.
    absent = re.compile(r"FROM (alerts|texts|tool_calls|tool_rates|segment_rates)|\bparent_call_id\b|a\.attempt > 0")
    assert [query for query, rows in answers.items() if not rows and not absent.search(query)] == []
    assert {tuple(rows) for query, rows in answers.items() if "Both must be true" in query} == {((True, True),)}


def _queries() -> list[str]:
    """Without those that open a snapshot, which `test_readers.py` runs."""
    return [query for text in (README, QUERIES) for query in blocks(text, "sql") if "ATTACH" not in query]


@pytest.mark.slow
def test_outputs_are_where_the_documents_show_them(example: tuple[Path, list[tuple[Shell, str]]]) -> None:
    folder, _ = example
    assert (folder / "out" / "outcomes.duckdb").is_symlink()
    named = {*re.findall(r"`(\w+\.jsonl)`", document("docs/files.md"))}
    assert len(named) == 6
    # The example raises no alert and publishes no checks; a file that would be empty may be missing.
    for name in named - {"alerts.jsonl", "checks.jsonl"}:
        assert (folder / "out" / name).stat().st_size > 0, name
    assert (folder / "insights.json").read_text().startswith("{")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the demo was run, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, run("aftercall demo", folder)


@pytest.mark.slow
def test_the_demo_prints_what_the_readme_shows(demo: tuple[Path, str]) -> None:
    folder, printed = demo
    shown, *_ = blocks(README, "text")
    assert "What aftercall reports" in README.partition(shown)[0]
    assert missing(shown, printed) == []
    (block,) = [block for block in shells(README) if DEMO in block.commands]
    assert "make demo" in block.commands
    assert missing(block.shown, run(block.commands, folder)) == []
    with open_snapshot(folder / DEMO) as base:
        for query in _queries():
            base.execute(query).fetchall()


@pytest.mark.slow
@pytest.mark.long
def test_the_demo_run_twice_shows_the_same(demo: tuple[Path, str], tmp_path: Path) -> None:
    _, first = demo
    second = aftercall(tmp_path, "demo", COLUMNS=WIDTH)
    assert (second.returncode, second.stderr) == (0, "")
    assert first == second.stdout
    assert "No false alarm." in first
    assert "\x1b" not in first
    assert "…" not in first
    assert sums_that_fail(tmp_path / DEMO) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_settings_file_and_contract_shown_is_accepted(path: Path) -> None:
    for block in blocks(path.read_text(encoding="utf-8"), "toml"):
        shown = tomllib.loads(block)
        if "contract" in shown:
            contract_of(shown, path.name)
        else:
            load(**shown)


def test_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    detection, kills, fuzz = (_results(name) for name in ("detection", "kills", "fuzz"))
    figures = detection["figures"]
    ratios = [figures[f"false_alarms_over_promise_A{at}{end}"] for end in ("", "_upper95") for at in (1000, 10000)]
    assert "{:.2f} to {:.2f} of those promised (95 % bounds {:.2f} and {:.2f})".format(*ratios) in README
    (hours,) = [row for row in detection["details"]["hours"] if row["per_day"] == 1000]
    assert f"{hours['ours_h']:.0f} h in the median; comparing 48 h with 7 days takes {hours['rule_h']:.0f} h" in README
    assert (
        "{kills} kills: {rows_lost} rows lost, {rows_doubled} doubled, {rows_differing} different".format(
            **kills["figures"]
        )
        in README
    )
    titles, *rows = detection["details"]["coverage"]
    (six,) = [dict(zip(titles[::-1], row[::-1], strict=True)) | {"naive": row[2]} for row in rows if row[0] == "6 h"]
    assert f"uncorrected ones in {100 * float(six['naive']):.1f} %" in README
    assert f"cover the truth in {100 * figures['corrected_coverage_6h']:.1f} % of cases" in README
    assert f"{fuzz['figures']['inputs']:,} fuzzed inputs" in README
    assert f"{fuzz['figures']['defects']} defects" in README


def _results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document(f"benchmarks/results/{name}.json"))
    return found


def test_a_line_that_is_not_printed_is_found_out() -> None:
    assert missing("a\n[...]\nb\n", " a\nx\nb\n") == []
    assert missing("b\na\n", "a\nb\n") == ["a"]
