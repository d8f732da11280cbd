"""Type checkers see what users write: signatures of tracked functions stay, misspelt arguments are found."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from aftercall import Call, Client, guard
from harness.foreign import SDK, TESTS

AGENT: Final = TESTS / "harness" / "typed_agent.py"


@pytest.mark.slow
def test_an_agent_that_uses_every_name_is_strictly_typed(tmp_path: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", str(tmp_path), str(AGENT)],
        cwd=tmp_path,
        env={"MYPYPATH": str(SDK), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("kind", [Client, Call])
def test_the_agent_uses_every_method_and_argument(kind: type) -> None:
    tree = ast.parse(AGENT.read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {name for name in dir(kind) if not name.startswith("_")} <= used
    assert {"call", "acall", "flush", "close", "stats", "verification"} <= used  # of a guard
    given = {word.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for word in node.keywords}
    assert {*inspect.signature(Client).parameters} | {*inspect.signature(guard).parameters} - {
        "contracts",
        "client",
    } <= given
