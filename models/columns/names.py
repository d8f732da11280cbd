"""Numbers names, so that a column holds a code instead of a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

import numpy as np

from models.arrays import I32

Name = TypeVar("Name")
_MANY = 1024


class Names(Generic[Name]):
    """Names by code, in the order in which they came."""

    def __init__(self, names: Iterable[Name] = ()) -> None:
        self.names = list(names)
        self._codes = {name: code for code, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def code(self, name: Name) -> int:
        """The code of a name, a new one where it has none."""
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self.names)
            self.names.append(name)
        return code

    def compacted(self, codes: I32) -> I32:
        """Forget the names that have no code in `codes`, where they are the majority; the codes after that. O(n)."""
        used, renumbered = np.unique(codes, return_inverse=True)
        if len(self.names) <= max(_MANY, 2 * len(used)):
            return codes
        names = [self.names[code] for code in used.tolist()]
        self.names, self._codes = names, {name: code for code, name in enumerate(names)}
        return renumbered.astype(np.int32)
