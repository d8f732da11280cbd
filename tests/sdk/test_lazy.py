"""The package loads each public name when it is first used, so that an agent pays for no name that it does not use."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import aftercall

FACE: Final = Path(aftercall.__file__)
HEAVY: Final = ("pydantic", "pydantic_core", "confluent_kafka", "duckdb", "asyncio", "inspect", "logging", "json")
"""Each would cost every start of an agent milliseconds."""


def loaded_by(statement: str) -> set[str]:
    """Modules that a statement loads in a new process, beside those that every process has."""
    code = (
        f"import sys, os; before = set(sys.modules); {statement}; new = set(sys.modules) - before; "
        "import json; print(json.dumps(sorted(new)))"
    )
    # -S leaves out what an editable install loads by itself.
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(FACE.parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(ran.stdout))


def imported_for_type_checkers() -> dict[str, str]:
    """Name -> module, of the block that only type checkers read."""
    block = next(node for node in ast.parse(FACE.read_text()).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_importing_the_package_loads_nothing() -> None:
    assert loaded_by("import aftercall") <= {"aftercall", "__future__"}


def test_the_client_loads_no_pydantic_no_kafka_and_no_event_loop() -> None:
    loaded = loaded_by("from aftercall import Client")
    assert "aftercall.client" in loaded
    assert not loaded & set(HEAVY)


def test_what_type_checkers_see_is_what_programs_get() -> None:
    assert {name: f"aftercall.{module}" for name, module in aftercall._HOME.items()} == imported_for_type_checkers()
    assert sorted({*aftercall._HOME, "__version__"}) == sorted(aftercall.__all__)


@pytest.mark.parametrize("name", aftercall.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(aftercall, name) is not None
    assert name in dir(aftercall)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Clinet'"):
        _ = aftercall.Clinet  # type: ignore[attr-defined]
