"""Where only the SDK is installed, the command prints how to get the pipeline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pydantic

import aftercall

SDK = Path(aftercall.__file__).parent.parent


def test_without_the_pipeline_one_sentence_explains_how_to_get_it(tmp_path: Path) -> None:
    # -S leaves out the editable install that puts the rooms on the path; pydantic is put back by hand.
    libraries = Path(pydantic.__file__).parent.parent
    ran = subprocess.run(
        [sys.executable, "-S", "-m", "aftercall"],
        env={**os.environ, "PYTHONPATH": f"{SDK}{os.pathsep}{libraries}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    assert "only the producer SDK is installed" in ran.stderr
    assert "make setup" in ran.stderr
    assert ran.stderr.count("\n") == 1
