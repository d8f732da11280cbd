"""Maps names to those that count: several names of one model, config or task type become one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aftercall.names import plain_name

_WILD: Final = re.compile(r"[*?]")


class Pattern:
    """Names that an alias stands for: one name, or with `*` (any text) and `?` (any character) many."""

    def __init__(self, text: str) -> None:
        """Compile `text`."""
        self.text = text
        parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in text)
        self._compiled = re.compile("".join(parts), re.DOTALL)

    @property
    def is_glob(self) -> bool:
        """Whether it may stand for more than one name."""
        return _WILD.search(self.text) is not None

    @property
    def regex(self) -> re.Pattern[str]:
        """What a name must match as a whole."""
        return self._compiled

    def matches(self, name: str) -> bool:
        """Whether it stands for a name."""
        return self._compiled.fullmatch(name) is not None

    def overlaps(self, other: Pattern) -> bool:
        """Whether some name is matched by both. O(product of the lengths)."""
        ours, theirs = self.text, other.text
        reached = {(0, 0)}
        todo = [(0, 0)]
        while todo:
            i, j = todo.pop()
            if i == len(ours) and j == len(theirs):
                return True
            for step in _steps(ours[i : i + 1], theirs[j : j + 1]):
                place = i + step[0], j + step[1]
                if place not in reached:
                    reached.add(place)
                    todo.append(place)
        return False


def _steps(one: str, other: str) -> list[tuple[int, int]]:
    """How far two patterns may go on together from a character each, empty at the end."""
    steps = []
    if one == "*":
        steps += [(1, 0)] + ([(0, 1)] if other else [])
    if other == "*":
        steps += [(0, 1)] + ([(1, 0)] if one else [])
    if one and other and "*" not in {one, other} and (one == other or "?" in {one, other}):
        steps.append((1, 1))
    return steps


class Aliases:
    """The aliases of one kind of names. A whole name comes before globs, of which at most one matches."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names`: by name or glob, the name that counts; checked by the settings."""
        patterns = {Pattern(plain_name(name)): plain_name(target) for name, target in names.items()}
        self._whole = {pattern.text: target for pattern, target in patterns.items() if not pattern.is_glob}
        self._globs = [(pattern, target) for pattern, target in patterns.items() if pattern.is_glob]

    def of(self, name: str) -> str:
        """The name that counts."""
        whole = self._whole.get(name)
        if whole is not None:
            return whole
        return next((target for pattern, target in self._globs if pattern.matches(name)), name)


@dataclass(frozen=True)
class AliasSettings:
    """By name or glob, the name that counts."""

    task: Mapping[str, str] = field(default_factory=dict)
    model: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
