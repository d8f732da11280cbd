"""What documents name exists: links, files, folders, tests, make targets, commands and options."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from flows.cli.main import app
from system.documents import DOCUMENTS, README, ROOT, blocks, document

ALL = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
ROOMS = r"(?:tests|models|connectors|flows|sdk|benchmarks|docs|deploy)"
WIDEST = 120
WIDER = ("docs/decisions/", "docs/results.md")
"""Pages with wider lines of prose: written before the rule, or by a program."""


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", document("Makefile"), re.MULTILINE))
    for path in DOCUMENTS:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, f"{path.name}: {sorted(named - targets)}"


@ALL
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


@ALL
def test_every_test_named_exists(path: Path) -> None:
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", path.read_text(encoding="utf-8")):
        assert f"def {name}(" in tests, name


@ALL
def test_every_file_and_folder_named_exists_unless_it_is_to_come(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name, to_come in re.findall(rf"`({ROOMS}/[\w/.-]*)`(\s+\(to come)?", text):
        assert (ROOT / name).exists() == (not to_come), f"{path.name}: {name}{to_come}"


@ALL
def test_every_command_shown_has_the_options_shown(path: Path) -> None:
    shown = "\n".join(blocks(path.read_text(encoding="utf-8"), "sh")).replace("\\\n", " ")
    for line in re.findall(r"^(?:\S+=\S+ )?(?:\S*/)?aftercall ([^|>#\n]*)", shown, re.MULTILINE):
        command = typer.main.get_command(app)
        words = line.split()
        while commands := getattr(command, "commands", None):
            command = commands[words.pop(0)]
        options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= options, line


@ALL
def test_lines_of_prose_are_at_most_120_characters_wide(path: Path) -> None:
    if str(path.relative_to(ROOT)).startswith(WIDER):
        return
    prose = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert [line for line in prose.splitlines() if len(line) > WIDEST and not line.startswith(("|", "!["))] == []


def test_the_readme_is_short() -> None:
    assert 120 <= len(README.splitlines()) <= 150


def test_the_readme_names_the_version_and_licence_of_the_package() -> None:
    project = tomllib.loads(document("pyproject.toml"))["project"]
    assert f"Version {project['version']}," in README
    assert project["license"] == "Apache-2.0"
    assert "Apache License 2.0" in README


def test_the_glossary_is_sorted_and_has_one_line_for_each_word() -> None:
    entries = [line for line in document("docs/glossary.md").splitlines() if line.startswith("- ")]
    words = [re.findall(r"^- \*\*(.+?)\*\*: .+[.;]$", entry) for entry in entries]
    assert [entry for entry, word in zip(entries, words, strict=True) if len(word) != 1] == []
    assert [word for (word,) in words] == sorted({word for (word,) in words}, key=str.lower)
