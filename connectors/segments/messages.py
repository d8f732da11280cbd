"""Step -> segment sink: a file to write, and files that it replaces."""

from __future__ import annotations

from typing import NamedTuple


class Segment(NamedTuple):
    """Data for a file, which may be none, and names of files that the state stored with this epoch no longer needs."""

    name: str
    data: bytes
    replaced: tuple[str, ...] = ()
