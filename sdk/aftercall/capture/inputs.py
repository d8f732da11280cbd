"""Takes what a call was given, without a copy of its texts, so that it can be hashed or sent later.

Arguments may be changed right after the call: a chat loop appends the reply to its list of messages. So containers are
copied on the response path, as far as they are plain; texts are immutable and only referred to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

MOST_CHARACTERS: Final = 65_536
"""Of a larger input no hash is made: what is held until then counts in the bound of the queue."""
MOST_TEXT: Final = 100_000
"""Characters of an input and of an output that are sent, with `capture="text"`."""
MOST_VALUES: Final = 1000
_DEEPEST: Final = 8
_PLAIN: Final = frozenset({int, float, bool, type(None)})


class Opaque:
    """Stands for an argument that is no plain value; only the name of its class is kept."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Input:
    """Plain values that a call was given.

    Attributes:
        values: positional arguments, then keyword arguments as one dict where there are any.
        characters: length of all texts together.
        whole: whether nothing in it is opaque and nothing was left out.
    """

    __slots__ = ("_values_left", "characters", "most", "values", "whole")

    def __init__(self, given: tuple[Any, ...], named: Mapping[str, Any], most: int = MOST_CHARACTERS) -> None:
        self.characters = 0
        self.whole = True
        self.most = most
        self._values_left = MOST_VALUES
        self.values = [self._kept(value, 0) for value in given]
        if named:
            self.values.append(self._kept(dict(named), 0))

    def _kept(self, value: Any, depth: int) -> Any:
        kind = type(value)
        self._values_left -= 1
        if self._values_left < 0 or depth > _DEEPEST:
            self.whole = False
            return None
        if kind is str:
            return self._text(value)
        if kind in _PLAIN:
            return value
        if kind is dict:
            return {name: self._kept(item, depth + 1) for name, item in list(value.items()) if type(name) is str}
        if kind is list or kind is tuple:
            return [self._kept(item, depth + 1) for item in list(value)[: self._values_left + 1]]
        self.whole = False
        return Opaque(kind.__name__)

    def _text(self, text: str) -> str:
        if self.characters + len(text) > self.most:
            self.whole = False
            text = text[: max(self.most - self.characters, 0)]
        self.characters += len(text)
        return text

    def texts(self) -> Iterator[str]:
        """Give every text in it, names of dicts left out."""
        open_values = list(self.values)
        while open_values:
            value = open_values.pop()
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                open_values.extend(value.values())
            elif isinstance(value, list):
                open_values.extend(value)
