"""A golden: the folder of a killed run, packed, and beside it what it is."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

HERE = Path(__file__).parent
MOST_BYTES = 1024 * 1024
"""A golden stays in the repository for good."""
_IN_BETWEEN: Final = ("8def23f", "b3dfe7e", "dde88d0")
"""Commits whose form of state is that of a later one too, but for versions of which others have goldens."""


class Golden(NamedTuple):
    """What `NAME.json` records, and where `NAME.tar.xz` is."""

    packed: Path
    recorded: dict[str, Any]

    @property
    def kind(self) -> str:
        """`files` or `kafka`."""
        return str(self.recorded["kind"])

    @property
    def commit(self) -> str:
        """That wrote it."""
        return str(self.recorded["commit"])

    def unpack(self, folder: Path) -> None:
        """Put the run's folder as `out` into this one."""
        with tarfile.open(self.packed) as archive:
            archive.extractall(folder, filter="data")


def goldens(kind: str = "") -> list[Golden]:
    """All that are here, or those of a kind."""
    found = [Golden(path.with_suffix(".tar.xz"), json.loads(path.read_text())) for path in sorted(HERE.glob("*.json"))]
    return [golden for golden in found if kind in {"", golden.kind}]


def tried(kind: str) -> list[Any]:
    """Those of a kind, for tests; those of commits in between are `long`."""
    return [
        pytest.param(golden, marks=pytest.mark.long if golden.commit in _IN_BETWEEN else (), id=name_of(golden))
        for golden in goldens(kind)
    ]


def name_of(golden: Golden) -> str:
    """For the names of tests."""
    return golden.packed.name.removesuffix(".tar.xz")


def pack(out: Path, folder: Path, name: str, recorded: dict[str, Any]) -> Path:
    """Write a golden of the run's folder `out`; gives the packed file."""
    packed = folder / f"{name}.tar.xz"
    with tarfile.open(packed, "w:xz", preset=9) as archive:
        archive.add(out, "out", filter=_without_owner)
    assert packed.stat().st_size <= MOST_BYTES, f"{packed} has {packed.stat().st_size} bytes; {MOST_BYTES} are too many"
    (folder / f"{name}.json").write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    return packed


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
