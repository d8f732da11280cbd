"""Reads `--inject`, and draws which calls of which tools are broken.

A draw is a hash of (seed, case, tool, number of the tool's call in the case) and of the entry, so that the same suite
under the same seed has the same faults, in whatever order and how many at once its cases run, and an entry that is
added or removed moves no draw of another.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import Final, NamedTuple

from aftercall.contracts.globs import Globs, refuse_bad_glob
from aftercall.errors import UsageError
from aftercall.evals.faults.kinds import FAULTS

MAX_ENTRIES: Final = 64
MOST_SECONDS: Final = 600.0
_SLOW = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_EXAMPLE: Final = "write it like timeout:search=0.2 or slow:crm=5s"


class Injection(NamedTuple):
    """One entry of `--inject`: a kind of fault, and for which share of the calls of which tools."""

    kind: str
    tool: str
    """A glob, as in contracts."""
    share: float = 1.0
    """In (0, 1]; of `slow` always 1."""
    seconds: float = 0.0
    """How much later a slow tool answers; 0 of all other kinds."""

    @property
    def name(self) -> str:
        """Kind and tool, as reports name it: `timeout:search`."""
        return f"{self.kind}:{self.tool}"

    @property
    def exact(self) -> bool:
        """Whether it names one tool, not a glob of several."""
        return not set(self.tool) & set("*?[")


class Injections:
    """The entries of one `--inject`, and the draws from them. Pure; drawing takes some microseconds.

    >>> broken = Injections.parse("timeout:search=0.2,empty:retrieve,slow:crm=5s", seed=7)
    >>> [broken.fault("c1", "retrieve", number).kind for number in (1, 2)]
    ['empty', 'empty']
    >>> broken.fault("c1", "mail", 1) is None
    True
    """

    def __init__(self, entries: Iterable[Injection] = (), seed: int = 0) -> None:
        self.entries: Final = tuple(entries)
        self.seed: Final = seed
        self._globs = [(entry, Globs([entry.tool])) for entry in self.entries]

    @classmethod
    def parse(cls, text: str, seed: int = 0, place: str = "--inject") -> Injections:
        """Read entries `kind:tool[=share]` and `slow:tool=duration`, with commas between.

        A share is in (0, 1] and 1 by default; a duration is a number with ms, s or m, at most 10 minutes. A tool is a
        name or a glob, without a comma.

        Raises:
            UsageError: an entry is wrong, comes twice, or there are more than 64.
        """
        parts = [part.strip() for part in text.split(",")]
        if len(parts) > MAX_ENTRIES:
            raise UsageError(f"{place}: must have at most {MAX_ENTRIES} entries; got {len(parts)} (use globs)")
        entries = [_entry(part, place) for part in parts]
        names = [entry.name for entry in entries]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"{place}: each kind and tool must come once; got {twice!r} twice (keep one of them)")
        return cls(entries, seed)

    def fault(self, case: str, tool: str, number: int) -> Injection | None:
        """What breaks one call of a tool; None where nothing does.

        Entries that name the tool are drawn first; globs only where none of these strikes. Where several strike, one
        of them is drawn.

        Args:
            case: the case's key.
            tool: its name.
            number: which call of this tool it is in the case, from 1.
        """
        for exact in (True, False):
            struck = [
                entry
                for entry, globs in self._globs
                if entry.exact == exact
                and globs.match(tool)
                and self._draw(entry.name, case, tool, number) < entry.share
            ]
            if struck:
                return struck[int(self._draw("which", case, tool, number) * len(struck))]
        return None

    def never_called(self, tools: Collection[str]) -> list[Injection]:
        """The entries that match none of the tools that were called: they have tested nothing."""
        return [entry for entry, globs in self._globs if not any(map(globs.match, tools))]

    @property
    def text(self) -> str:
        """The entries as `parse` reads them; empty where there are none."""
        return ",".join(f"{entry.name}={_value(entry)}" for entry in self.entries)

    def _draw(self, *parts: object) -> float:
        """A number in [0, 1) that depends on the parts and the seed alone."""
        joined = "".join(f"{len(text)}:{text}" for text in (str(self.seed), *map(str, parts)))
        digest = blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return (int.from_bytes(digest) >> 11) / 2**53


def _entry(part: str, place: str) -> Injection:
    kind, colon, rest = part.partition(":")
    tool, equals, value = rest.rpartition("=") if "=" in rest else (rest, "", "")
    shown = part[:60]
    if not colon or not tool:
        raise UsageError(f"{place}: each entry must name a kind and a tool; got {shown!r} ({_EXAMPLE})")
    if kind not in FAULTS:
        raise UsageError(f"{place}: the kind must be one of {', '.join(FAULTS)}; got {kind[:60]!r} ({_EXAMPLE})")
    try:
        refuse_bad_glob(tool)
    except ValueError as wrong:
        raise UsageError(f"{place}, {shown!r}: the tool {wrong} ({_EXAMPLE})") from None
    if kind == "slow":
        return Injection(kind, tool, seconds=_seconds(value, place, shown))
    return Injection(kind, tool, share=_share(value, place, shown) if equals else 1.0)


def _share(value: str, place: str, shown: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if 0 < share <= 1:
        return share
    raise UsageError(
        f"{place}, {shown!r}: the share must be above 0 and at most 1; got {value[:20]!r} (0.2 is a fifth)"
    )


def _seconds(value: str, place: str, shown: str) -> float:
    match = _SLOW.fullmatch(value)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if 0 < seconds <= MOST_SECONDS:
        return seconds
    raise UsageError(
        f"{place}, {shown!r}: a slow tool must have a duration in ms, s or m, above 0 and at most 10m;"
        f" got {value[:20]!r} (write it like slow:crm=5s)"
    )


def _value(entry: Injection) -> str:
    return f"{round(entry.seconds * 1000, 3):.10g}ms" if entry.kind == "slow" else repr(entry.share)
