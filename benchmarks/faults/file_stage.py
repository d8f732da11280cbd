"""A replay of two files, disturbed, beside one that is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import duckdb
import orjson

from benchmarks.faults.findings import Findings
from benchmarks.kill_process import ROOT
from benchmarks.kill_traffic import history

_CALLS: Final = 20_000
_ENDS_S: Final = 300.0
_OFTEN: Final = {
    "AFTERCALL_RECOVERY__EPOCH": "1s", "AFTERCALL_RECOVERY__SEGMENT_KB": "1", "AFTERCALL_SNAPSHOT__EVERY": "1s",
    "AFTERCALL_JOIN__HORIZON": "72h",
}  # fmt: skip
_LISTED: Final = ("verdicts", "alerts", "recommendations")
_TABLES: Final = ("calls", "statements", "rates", "current_rates")


class FileStage:
    """Two files of a difficult history, and what was found."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Write the files; nothing runs."""
        self.folder, self.findings = folder, Findings()
        self.calls, self.outcomes = folder / "calls.jsonl", folder / "outcomes.jsonl"
        written = history(_CALLS, seed)
        for kind, path in (("calls", self.calls), ("outcomes", self.outcomes)):
            path.write_bytes(b"".join(record.value + b"\n" for record in written if record.kind == kind))
        self._errors: list[str] = []

    def replay(
        self,
        out: str | Path,
        *options: str,
        kill_after_s: float | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
        inputs: Sequence[Path] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, or for so long."""
        calls, outcomes = inputs or (self.calls, self.outcomes)
        command = [sys.executable, "-m", "aftercall", "replay", "--calls", str(calls), "--outcomes", str(outcomes)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AFTERCALL_")}
        paths = os.pathsep.join((str(ROOT), str(ROOT / "sdk")))
        process = subprocess.Popen(
            [*command, "--out", str(out), *options],
            env=kept | _OFTEN | {"PYTHONPATH": paths} | dict(variables),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            printed, errors = process.communicate(timeout=kill_after_s or _ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            printed, errors = process.communicate()
            if kill_after_s is None:
                self.findings.add("wrong", f"it must end within {_ENDS_S:g} s: {errors[-600:]}")
        self._errors.append(errors)
        return subprocess.CompletedProcess(command, process.returncode, printed, errors)

    def refused(self, done: subprocess.CompletedProcess[str], codes: tuple[int, ...], *parts: str) -> None:
        """It ended with such a code and these words on standard error."""
        if done.returncode not in codes:
            self.findings.add("wrong", f"exit code {codes} was expected; got {done.returncode}: {done.stderr[-600:]}")
        for part in parts:
            if part not in done.stderr:
                self.findings.add("silent", f"must say {part!r}; it says: {done.stderr[-600:]}")

    def expect_traceback(self) -> None:
        """The last command had to print one."""
        self._errors.pop()

    def judge(self) -> Findings:
        """Compare the folder `out` with what an undisturbed replay leaves."""
        for errors in self._errors:
            self.findings.add("tracebacks", errors[-1_500:], errors.count("Traceback (most recent call last)"))
        if (self.folder / "out").exists():
            self.replay("undisturbed")
            for name in _LISTED:
                self._compare(name, *(_lines(self.folder / out / f"{name}.jsonl") for out in ("out", "undisturbed")))
            for name in _TABLES:
                self._compare(name, *(_rows(self.folder / out, name) for out in ("out", "undisturbed")))
        return self.findings

    def close(self) -> None:
        """Nothing runs any more."""

    def _compare(self, name: str, found: Counter[bytes], wanted: Counter[bytes]) -> None:
        self.findings.add("lost", f"{name}: {[*(wanted - found)][:2]}", (wanted - found).total())
        self.findings.add("doubled", f"{name}: {[*(found - wanted)][:2]}", (found - wanted).total())


def kill_thrice(stage: FileStage) -> None:
    """Kill a replay at three moments; each start goes on."""
    began_s = time.monotonic()
    stage.replay("measured")
    took_s = time.monotonic() - began_s
    for share in (0.3, 0.5, 0.4):
        stage.replay("out", kill_after_s=share * took_s)


def _lines(path: Path) -> Counter[bytes]:
    return Counter(path.read_bytes().splitlines())


def _rows(out: Path, table: str) -> Counter[bytes]:
    with duckdb.connect(str((out / "outcomes.duckdb").resolve()), read_only=True) as snapshot:
        found = snapshot.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a constant
    return Counter(orjson.dumps(row, default=str) for row in found)
