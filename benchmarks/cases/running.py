"""Replays one case as its sender would: files and settings in a folder, and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

Raw = dict[str, Any]
Found = dict[str, Any]
_LIMIT_S = 900
_SAID = 200


@dataclass(frozen=True)
class Run:
    """A replay that ended well: what `--json` printed, and its snapshot."""

    printed: Raw
    snapshot: Path

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query on the snapshot."""
        with duckdb.connect(str(self.snapshot), read_only=True) as snapshot:
            return snapshot.execute(query).fetchall()

    def verdicts(self) -> Found:
        """Number of calls by verdict."""
        return {"verdicts": counted(row[0] for row in self.rows("SELECT verdict FROM calls"))}

    def dead(self) -> Found:
        """Number of dead letters by reason."""
        return {"dead letters": counted(self.printed["dead_letter_reasons"])}


def counted(values: Any) -> str:
    """Values, or a mapping of counts, with their numbers: `failure 3, pending 1`; `none` of none."""
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(values).items())) or "none"


def unchanged(record: Raw) -> Raw | None:
    """As it was sent."""
    return record


@dataclass(frozen=True)
class Check:
    """One way to send a case, and what is to come of it. `written` gives a record as it is sent, None to leave it out.

    Attributes:
        case: Its number, such as `16`.
        how: The settings or the form in which it is sent, in words.
        wanted: Name -> value; right where `got` finds equal ones.
        got: Finds them in a run.
        later: Whether an issue that is not done yet has it.
        refused: Words that the one sentence of a refused replay has to have; with it `got` plays no part where the
            replay ends with exit code 1.
    """

    case: str
    how: str
    wanted: Found
    got: Callable[[Run], Found]
    settings: str = ""
    written: Callable[[Raw], Raw | None] = field(default=unchanged)
    calls: str = ""
    later: bool = False
    refused: str = ""

    def found(self, case: Path, folder: Path) -> Found:
        """What the product makes of the case in `case`, replayed in the empty `folder`."""
        files = [self._file(case, folder, kind) for kind in ("calls", "outcomes")]
        (folder / "aftercall.toml").write_text(_settings(case) + self.settings, "utf-8")
        done = _replayed(folder, *files)
        if self.refused and done.returncode == 1 and self.refused in done.stderr and done.stderr.count("\n") == 1:
            return self.wanted
        if done.returncode:
            return {"exit code": done.returncode, "said": done.stderr.strip()[:_SAID]}
        return self.got(Run(json.loads(done.stdout), folder / "out" / "outcomes.duckdb"))

    def _file(self, case: Path, folder: Path, kind: str) -> Path:
        """The file of one kind: as it is, or with each record as it is written."""
        given = [case / self.calls] if self.calls and kind == "calls" else sorted(case.glob(f"{kind}.jsonl*"))
        if not given:
            (folder / f"{kind}.jsonl").touch()
            return folder / f"{kind}.jsonl"
        if self.written is unchanged:
            return given[0]
        records = map(self.written, map(json.loads, given[0].read_text("utf-8").splitlines()))
        written = folder / f"{kind}.jsonl"
        written.write_text("".join(json.dumps(record) + "\n" for record in records if record is not None), "utf-8")
        return written


def _settings(case: Path) -> str:
    given = case / "aftercall.toml"
    return given.read_text("utf-8") + "\n" if given.exists() else ""


def _replayed(folder: Path, calls: Path, outcomes: Path) -> subprocess.CompletedProcess[str]:
    files = ("--calls", str(calls), "--outcomes", str(outcomes), "--config", "aftercall.toml", "--out", "out")
    return subprocess.run(
        [sys.executable, "-m", "aftercall", "replay", *files, "--json"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("AFTERCALL_")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
