"""Names the Parquet files of a day, so that no text is read twice.

A piece is called `<first>-<last>.parquet`, after the first and the last of the writes that are in it; an encrypted one
also after its key, as DuckDB cannot read it. A write is `<cut>.<number>`: the cut of the snapshot with which it became
durable, and which one of that cut it was. A piece that is made of others covers their writes; they are *superseded*,
and removed a little later, as readers may have them open. `aftercall.snapshot` leaves superseded pieces out by the same
rule, in SQL.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple, Self

TEXTS_FOLDER: Final = "texts"
"""Beside the snapshot's link."""
_NAME: Final = re.compile(r"([0-9]{12}\.[0-9]{4})-([0-9]{12}\.[0-9]{4})(\.parquet(?:\.[0-9a-f]{8})?)")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Piece(NamedTuple):
    """One file; `first` and `last` compare as texts. `suffix`: of its name, which says under which key it is."""

    path: Path
    first: str
    last: str
    suffix: str

    @classmethod
    def written(cls, day: Path, cut: int, number: int, suffix: str) -> Self:
        """The piece of one write."""
        write = f"{cut:012}.{number:04}"
        return cls(day / f"{write}-{write}{suffix}", write, write, suffix)

    @classmethod
    def of(cls, pieces: list[Piece]) -> Self:
        """The piece that is made of others, which follow each other and have one suffix."""
        first, last, suffix = pieces[0].first, pieces[-1].last, pieces[0].suffix
        return cls(pieces[0].path.with_name(f"{first}-{last}{suffix}"), first, last, suffix)

    @property
    def cut(self) -> int:
        """The newest cut in it."""
        return int(self.last.partition(".")[0])

    def covers(self, other: Piece) -> bool:
        """Whether another piece is superseded by this one."""
        return self.path != other.path and self.first <= other.first and other.last <= self.last


def days_in(folder: Path) -> list[Path]:
    """The folders of days, oldest first; empty where nothing was ever kept."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _DATE.fullmatch(path.name))


def pieces_in(day: Path) -> tuple[list[Piece], list[Piece]]:
    """The pieces of a day that count, in the order of their writes, and those that are superseded."""
    matches = ((path, _NAME.fullmatch(path.name)) for path in sorted(day.glob("*")))
    found = [Piece(path, match[1], match[2], match[3]) for path, match in matches if match]
    superseded = [piece for piece in found if any(other.covers(piece) for other in found)]
    return [piece for piece in found if piece not in superseded], superseded
