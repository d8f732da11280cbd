"""A process that may open too few files says so before any work."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from system.runs import environment

_SHOWS_THE_LIMIT = """
import resource
from flows.runtime.open_files import ensure_open_files
ensure_open_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limited(soft: int, hard: int, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )


@pytest.mark.parametrize("command", ["replay", "run"])
def test_with_too_few_open_files_there_is_a_sentence_before_any_work(command: str, tmp_path: Path) -> None:
    for name in ("calls.jsonl", "outcomes.jsonl"):
        (tmp_path / name).touch()
    given = ["--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl"] if command == "replay" else []
    ended = limited(64, 64, ["-m", "aftercall", command, *given, "--out", "out"], tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.endswith(
        "aftercall: system: 128 files or more must be allowed to be open; 64 are (raise the limit, as with "
        "`ulimit -n 1024`)\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_small_limit_is_raised_as_far_as_the_system_lets_it_and_a_large_one_stays(tmp_path: Path) -> None:
    for soft, hard, now in ((64, 4096, 1024), (64, 200, 200), (2000, 4096, 2000)):
        assert limited(soft, hard, ["-c", _SHOWS_THE_LIMIT], tmp_path).stdout.split() == [str(now), str(hard)]
