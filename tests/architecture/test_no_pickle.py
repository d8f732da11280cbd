"""Stored bytes are never a program: no room imports a module that executes what it reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

import pytest

from architecture.rooms import FOLDERS, files, place, tree

EXECUTING: Final = frozenset(
    ("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "jsonpickle")
)


def executing_imports(module: ast.AST) -> Iterator[str]:
    """The imports of such modules, wherever they stand, also by name."""
    for node in ast.walk(module):
        match node:
            case ast.Import(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(name)):
                names = [name]
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if ast.unparse(func).endswith(
                ("import_module", "__import__")
            ):
                names = [name]
            case _:
                continue
        yield from (f"line {node.lineno}: {name}" for name in names if name.partition(".")[0] in EXECUTING)


@pytest.mark.parametrize("room", FOLDERS)
def test_no_module_imports_what_executes_stored_bytes(room: str) -> None:
    found = [f"{place(path)}, {imported}" for path in files(room) for imported in executing_imports(tree(path))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "statement",
    [
        "import pickle",
        "import json, pickle as p",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "from shelve import open",
        "importlib.import_module('marshal')",
        "__import__('dill')",
    ],
)
def test_an_import_inside_a_function_is_found(statement: str) -> None:
    inside = f"class Step:\n    def read(self):\n        if self:\n            {statement}\n"
    assert list(executing_imports(ast.parse(inside)))


@pytest.mark.parametrize("statement", ["import pickletools", "from models import plain", "import_module('json')"])
def test_a_module_with_a_similar_name_is_allowed(statement: str) -> None:
    """`pickletools` reads instructions and executes none."""
    assert not list(executing_imports(ast.parse(statement)))
