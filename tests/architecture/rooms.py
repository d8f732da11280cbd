"""The production code as the architecture tests see it: rooms, packages, files, and which package imports which."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("models", "connectors", "flows")
FOLDERS: Final = {room: ROOT / room for room in ROOMS} | {"aftercall": ROOT / "sdk" / "aftercall"}
"""Where each room lies, the sdk included."""


@cache
def files(*rooms: str) -> tuple[Path, ...]:
    """Production files of these rooms."""
    return tuple(path for room in rooms for path in sorted(FOLDERS[room].rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path) -> str:
    """A path as people write it."""
    return path.relative_to(ROOT).as_posix()


def package(module: str) -> str:
    """The package of a module: the folder, or file, at the top of its room."""
    return ".".join(module.split(".")[:2])


@cache
def graph() -> grimp.ImportGraph:
    """Every import, also those for types alone."""
    return grimp.build_graph("aftercall", *ROOMS, "benchmarks", exclude_type_checking_imports=False, cache_dir=None)


def imports() -> Iterator[tuple[str, str]]:
    """(importing module, imported module) of the production code."""
    for module in sorted(graph().modules):
        for imported in sorted(graph().find_modules_directly_imported_by(module)):
            yield module, imported


@cache
def arrows() -> dict[tuple[str, str], list[str]]:
    """(package, package it imports) -> the imports that make the arrow; those of and into the sdk are left out."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module, imported in imports():
        if {module.split(".")[0], imported.split(".")[0]} <= set(ROOMS) and package(module) != package(imported):
            found[package(module), package(imported)].append(f"{module} imports {imported}")
    return dict(found)
