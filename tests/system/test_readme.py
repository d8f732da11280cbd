"""What the README and the documents beside it show is what happens: their commands, outputs, queries and links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUERIES = (ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

WIDTH = "114"
"""Columns of the terminal whose output the README shows."""
LEFT_OUT = "[...]"
"""In an output shown: lines that are not."""
INSTALLING = ("make ", ". .venv/")
DEMO = "aftercall-demo"


class Shell(NamedTuple):
    """A block of commands, and what is shown of their output ("" where nothing is)."""

    commands: str
    shown: str


def shells(text: str) -> list[Shell]:
    blocks = re.finditer(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", text, re.MULTILINE | re.DOTALL)
    return [Shell(block[1], block[2] or "") for block in blocks]


def section(title: str) -> str:
    """A section of the README."""
    found = re.search(rf"^## {title}\n.*?(?=^## )", README, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[0]


def queries(text: str) -> list[str]:
    return re.findall(r"^```sql\n(.*?)^```\n", text, re.MULTILINE | re.DOTALL)


def run(commands: str, folder: Path) -> str:
    """Standard output of commands as a reader would type them in the activated environment, one after the other."""
    lines = [line for line in commands.splitlines() if not line.startswith(INSTALLING)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("AFTERCALL_")}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "COLUMNS": WIDTH}
    done = subprocess.run(
        ["sh", "-euc", "\n".join(lines)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{commands}\n{done.stderr}"
    return done.stdout


def missing(shown: str, printed: str) -> list[str]:
    """Lines that are shown but were not printed in that order."""
    left = iter([line.strip() for line in printed.splitlines()])
    return [line for line in shown.splitlines() if line.strip() not in {"", LEFT_OUT} and line.strip() not in left]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[Shell, str]]]:
    """The folder in which the README's example was carried out from top to bottom, and what each block printed."""
    folder = tmp_path_factory.mktemp("readme")
    without_kafka = README.replace(section("Kafka"), "")  # tests/kafka/test_readme_kafka.py carries that one out
    blocks = [block for block in shells(without_kafka) if DEMO not in block.commands and not only_installs(block)]
    printed = []
    for block in blocks:
        printed.append((block, run(block.commands, folder)))
        if "mkdir -p mine && cd mine" in block.commands:
            folder /= "mine"
    return folder, printed


def only_installs(block: Shell) -> bool:
    return all(line.startswith(INSTALLING) for line in block.commands.splitlines())


@pytest.mark.slow
def test_every_command_of_the_readme_prints_what_the_readme_says(
    example: tuple[Path, list[tuple[Shell, str]]],
) -> None:
    _, printed = example
    assert {block.commands: missing(block.shown, out) for block, out in printed if missing(block.shown, out)} == {}
    assert sum(bool(block.shown) for block, _ in printed) >= 4


@pytest.mark.slow
def test_every_query_answers_on_the_readmes_own_example(example: tuple[Path, list[tuple[Shell, str]]]) -> None:
    """One test for all: in workers of their own each query would have the example carried out again."""
    folder, _ = example
    with duckdb.connect(str(folder / "out" / "outcomes.duckdb"), read_only=True) as base:
        answers = {query: base.execute(query).fetchall() for query in queries(README) + queries(QUERIES)}
    # The example has no alert; everything else it has.
    assert [query for query, rows in answers.items() if not rows and "FROM alerts" not in query] == []
    assert {tuple(rows) for query, rows in answers.items() if "Both must be true" in query} == {((True, True),)}


@pytest.mark.slow
def test_outputs_are_where_the_readme_says(example: tuple[Path, list[tuple[Shell, str]]]) -> None:
    folder, _ = example
    assert (folder / "out" / "outcomes.duckdb").is_symlink()
    # The example raises no alert, and a file that would be empty may be missing.
    for name in {*re.findall(r"`(\w+\.jsonl)`", README)} - {"alerts.jsonl"}:
        assert (folder / "out" / name).stat().st_size > 0, name
    assert (folder / "insights.json").read_text().startswith("{")


@pytest.mark.slow
def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    (shown,) = [block.shown for block in shells(README) if "make demo" in block.commands]
    assert shown != ""
    assert missing(shown, run("aftercall demo", tmp_path)) == []
    for block in shells(README):
        if DEMO in block.commands:
            assert missing(block.shown, run(block.commands, tmp_path)) == []
    with duckdb.connect(str(tmp_path / DEMO / "outcomes.duckdb"), read_only=True) as base:
        for query in queries(README) + queries(QUERIES):
            base.execute(query).fetchall()


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in DOCUMENTS:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, f"{path.name}: {sorted(named - targets)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name) if name else path
        assert file.exists(), f"{path.name}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {anchor_of(title) for title in titles}, f"{path.name}: {target}"


def anchor_of(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_and_file_named_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, name
    for name in re.findall(r"`((?:tests|models|connectors|flows|sdk|benchmarks|docs)/[\w/.-]+\.\w+)`", text):
        assert (ROOT / name).exists(), name


def test_a_line_that_is_not_printed_is_found_out() -> None:
    assert missing("a\n[...]\nb\n", " a\nx\nb\n") == []
    assert missing("b\na\n", "a\nb\n") == ["a"]
