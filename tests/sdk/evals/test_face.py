"""The package of suites loads each name when it is first used, and needs pydantic alone."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from aftercall import evals

FACE: Final = Path(evals.__file__)
PIPELINE: Final = {"numpy", "duckdb", "polars", "orjson", "msgspec", "typer", "rich", "re2", "jsonschema_rs", "openai"}


def modules_after(statement: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; {statement}; import json; print(json.dumps(sorted(sys.modules)))"],
        env={"PYTHONPATH": str(FACE.parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(ran.stdout))


def test_importing_the_package_loads_no_module_of_it() -> None:
    assert not [name for name in modules_after("import aftercall.evals") if name.startswith("aftercall.evals.")]


def test_a_suite_of_plain_texts_runs_without_any_package_of_the_pipeline() -> None:
    run = "from aftercall.evals import *; run_eval_suite(str, [{'input': 'a', 'expected': 'a', 'checks': ['json: ']}])"
    loaded = modules_after(run)
    assert "aftercall.evals.suite" in loaded
    assert not {name.partition(".")[0] for name in loaded} & PIPELINE


def test_what_type_checkers_see_is_what_programs_get() -> None:
    block = next(node for node in ast.parse(FACE.read_text()).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: str(node.module) for node in imports for alias in node.names}
    assert {name: f"aftercall.evals.{module}" for name, module in evals._HOMES.items()} == seen
    assert sorted(evals._HOMES) == sorted(evals.__all__) == sorted(dir(evals))


@pytest.mark.parametrize("name", evals.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(evals, name) is not None


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'EvalCsae'"):
        _ = evals.EvalCsae  # type: ignore[attr-defined]
