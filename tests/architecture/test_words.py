"""One word for one thing, defined once: units of time, array types, and every public name within its room."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from architecture.rooms import FOLDERS, ROOT, files, place, tree

TIMES: Final = ROOT / "sdk/aftercall/times.py"
ARRAYS: Final = (ROOT / "models/arrays.py", ROOT / "connectors/batch.py")
"""Neither room may import the other, so each has its own."""
UNITS: Final = {
    *(seconds * scale for seconds in (60, 3600, 86_400, 604_800) for scale in (1, 1000, 1_000_000)),
    *(1440, 10_080),
} - {60}
"""A minute, an hour, a day and a week in seconds, milliseconds and microseconds, the last two in minutes too; 60 alone
may be anything."""
UNIT_NAME: Final = re.compile(
    r"_?(EPOCH|(MINUTE|HOUR|DAY|WEEK)(_(US|MS|S|MINUTES|HOURS))?|(MINUTE|HOUR|DAY)S_PER_(HOUR|DAY|WEEK))"
)
SETTLED: Final = ("connectors", "flows", "models", "aftercall")
SHARED: Final = {
    "Answer": "what a broker answered to a batch of records, and what an agent answered to a case of a suite",
    "Time": "import paths of the sdk are promised: text in events, a datetime in records",
    "Arm": "what a router draws, and the record of it with weight and evidence; import paths are promised",
}
"""Public names that may stand in several modules of a room, and why."""


def assignments(path: Path) -> Iterator[tuple[str, ast.expr | None]]:
    """Names that are assigned at the top of a module, with what they are."""
    for statement in tree(path).body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                yield from ((node.id, statement.value) for node in ast.walk(target) if isinstance(node, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id, statement.value


def number(value: ast.expr | None) -> float | None:
    """A number written out, also as a product; None for anything else."""
    match value:
        case ast.Constant(value=int() | float() as found):
            return found
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            factors = number(left), number(right)
            return None if None in factors else factors[0] * factors[1]  # type: ignore[operator]
    return None


def public_names(path: Path) -> Iterator[str]:
    """Classes, functions and constants that others may import, without commands: their functions have their names."""
    for statement in tree(path).body:
        match statement:
            case ast.ClassDef(name=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if path.parent != ROOT / "flows/cli":
                yield name
    yield from (name for name, _ in assignments(path))


@pytest.mark.parametrize("room", SETTLED)
def test_the_epoch_and_the_units_of_time_are_defined_in_one_file(room: str) -> None:
    found = [
        f"{place(path)}: {name}"
        for path in files(room)
        if path != TIMES
        for name, value in assignments(path)
        if UNIT_NAME.fullmatch(name) or number(value) in UNITS
    ]
    found += [
        f"{place(path)}:{node.lineno}: {ast.unparse(node)}"
        for path in files(room)
        if path != TIMES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node).startswith(("datetime(1970", "date(1970", "timedelta(microseconds=1)"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("room", SETTLED)
def test_types_of_arrays_are_named_in_one_file_of_a_room(room: str) -> None:
    found = [
        f"{place(path)}: {name}"
        for path in files(room)
        if path not in ARRAYS
        for name, value in assignments(path)
        if value is not None and re.match(r"(np\.|npt\.)?(NDArray|ndarray)\[", ast.unparse(value))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("room", SETTLED)
def test_a_public_name_means_one_thing_in_a_room(room: str) -> None:
    where = defaultdict[str, set[str]](set)
    for path in files(room):
        for name in public_names(path):
            if not name.startswith("_") and path.name != "__init__.py":
                where[name].add(place(path))
    found = [
        f"{name}: {', '.join(sorted(places))}"
        for name, places in sorted(where.items())
        if len(places) > 1 and name not in SHARED
    ]
    assert not found, "\n".join(found)


def test_no_name_is_allowed_twice_without_need() -> None:
    everywhere = [[*public_names(path)] for room in FOLDERS for path in files(room)]
    assert [name for name in SHARED if sum(name in names for names in everywhere) < 2] == []
