"""A face (`__init__.py`) hands on what other packages import, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from architecture.rooms import ROOT, files, package, place, tree

FACES = [
    path
    for path in (
        *sorted(ROOT.glob("models/*/__init__.py")),
        ROOT / "flows/cli/__init__.py",
        ROOT / "flows/settings/__init__.py",
    )
    if path.parent.name not in {"stats", "columns"}
]
SILENT = [
    ROOT / "models/stats/__init__.py",
    ROOT / "models/columns/__init__.py",
    *sorted(ROOT.glob("connectors/**/__init__.py")),
    *(path for path in sorted(ROOT.glob("flows/**/__init__.py")) if path not in FACES),
    *sorted(ROOT.glob("models/*/*/__init__.py")),
]
BY_NAME = {("flows.cli", "main")}
"""Found by name at run time: the sdk, which may not import flows, starts the command line."""


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def handed_on(face: Path) -> set[str]:
    """The names in `__all__`."""
    for statement in tree(face).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return set(ast.literal_eval(statement.value))
    return set()


def imported() -> Iterator[tuple[str, str, str]]:
    """(package that imports, module, name) of every `from module import name`."""
    users = (*files("models", "connectors", "flows", "aftercall"), *sorted(ROOT.glob("benchmarks/**/*.py")))
    for path in users:
        for statement in ast.walk(tree(path)):
            if isinstance(statement, ast.ImportFrom) and statement.module is not None:
                for alias in statement.names:
                    yield package(module(path)), statement.module, alias.name


@cache
def used() -> set[tuple[str, str, str]]:
    """The same, read once, and only where a test asks: to parse everything takes seconds of each process."""
    return set(imported())


@pytest.mark.parametrize("face", FACES, ids=place)
def test_a_face_hands_on_only_what_another_package_imports(face: Path) -> None:
    own = module(face)
    elsewhere = {name for by, source, name in used() if source == own and by != own}
    elsewhere |= {name for source, name in BY_NAME if source == own}
    assert handed_on(face) - elsewhere == set()


@pytest.mark.parametrize("face", FACES, ids=place)
def test_a_face_imports_only_what_it_hands_on(face: Path) -> None:
    brought = {
        alias.asname or alias.name
        for statement in ast.walk(tree(face))
        if isinstance(statement, ast.Import | ast.ImportFrom) and getattr(statement, "module", None) != "__future__"
        for alias in statement.names
    }
    assert brought == handed_on(face)


@pytest.mark.parametrize("path", SILENT, ids=place)
def test_a_package_without_a_face_imports_nothing(path: Path) -> None:
    """One of `connectors` would load librdkafka for every command, one of `stats` scipy."""
    assert [ast.unparse(one) for one in ast.walk(tree(path)) if isinstance(one, ast.Import | ast.ImportFrom)] == []
