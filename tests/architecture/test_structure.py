"""Files stay short, packages have a docstring, tests lie where the code lies, and none is skipped for want of ours."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from architecture.rooms import FOLDERS, ROOMS, ROOT, files, place, tree

LONGEST = 400
TESTS = sorted((ROOT / "tests").rglob("*.py"))
OURS = (*FOLDERS, "benchmarks")


@pytest.mark.parametrize("room", FOLDERS)
def test_a_file_has_less_than_four_hundred_lines(room: str) -> None:
    assert too_long(files(room)) == {}


def test_a_test_file_has_less_than_four_hundred_lines() -> None:
    assert too_long(TESTS) == {}


def too_long(paths: Iterable[Path]) -> dict[str, int]:
    lengths = {place(path): len(path.read_text().splitlines()) for path in paths}
    return {path: length for path, length in lengths.items() if length >= LONGEST}


@pytest.mark.parametrize("room", FOLDERS)
def test_every_folder_of_code_is_a_package_that_documents_what_it_is(room: str) -> None:
    folders = {path.parent for path in files(room)}
    silent = [place(folder) for folder in folders if not (folder / "__init__.py").exists()]
    silent += [place(folder) for folder in folders - {FOLDERS[room]} if not docstring(folder / "__init__.py")]
    assert silent == []


@pytest.mark.parametrize("room", FOLDERS)
def test_a_module_begins_with_one_sentence(room: str) -> None:
    """On its first line, with a full stop, and then nothing or an empty line."""
    wrong = []
    for path in files(room):
        first, _, rest = (docstring(path) or "").partition("\n")
        if not re.fullmatch(r".*\S[.:?]", first) or (rest.strip() and not rest.startswith("\n")):
            wrong.append(f"{place(path)}: {first!r}")
    assert not wrong, "\n".join(wrong)


def docstring(path: Path) -> str | None:
    return ast.get_docstring(tree(path))


@pytest.mark.parametrize("room", ROOMS)
def test_tests_lie_in_the_folders_of_the_code(room: str) -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in TESTS if path.is_relative_to(ROOT / "tests" / room)}
    assert [str(folder) for folder in sorted(folders) if not (ROOT / folder).is_dir()] == []


@pytest.mark.parametrize("room", ["models", "connectors"])
def test_every_package_has_tests_of_its_own(room: str) -> None:
    tested = {parent for path in TESTS for parent in path.relative_to(ROOT / "tests").parents}
    packages = {path.parent.relative_to(ROOT) for path in files(room)}
    assert sorted(map(str, packages - tested)) == []


def test_no_test_is_skipped_because_something_of_ours_is_missing() -> None:
    """It would go unnoticed when a module is renamed."""
    missing = re.compile(rf"pytest\.(importorskip\(['\"]({'|'.join(OURS)})\b|(mark\.)?skip.*\b(being|not) built\b)")
    calls = [(path, node) for path in TESTS for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    found = [f"{place(path)}:{node.lineno}" for path, node in calls if missing.match(ast.unparse(node))]
    assert not found, "\n".join(found)
