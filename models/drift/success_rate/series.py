"""What the detectors of success rates watch: every (task, model, config), and its roll-ups."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import I64, Bools
from models.messages import AnyGroup, Group

NONE = -1
_LEVELS = 3


class SeriesIndex:
    """Numbers watches in the order in which their first calls or trials came about; 100 bytes each.

    Attributes:
        groups: by number.
        parent: number of the roll-up above, `NONE` for a task type; shape (watches,).
        began: first minute of the watch's task type, shape (watches,).
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance."""
        self.groups: list[AnyGroup] = [] if state is None else list(state["groups"])
        self.parent: I64 = np.zeros(0, np.int64) if state is None else state["parent"]
        self.began: I64 = np.zeros(0, np.int64) if state is None else state["began"]
        self._row = {group: row for row, group in enumerate(self.groups)}

    def __len__(self) -> int:
        return len(self.groups)

    def levels(self, names: list[Group], code: NDArray[Any], minute: NDArray[Any]) -> I64:
        """Watches of every name that occurs, adding new ones.

        Args:
            names: of the message.
            code: index into `names`, per row.
            minute: per row, ascending.

        Returns:
            Shape (3, names): config, model, task type. 0 for names that do not occur.
        """
        present, first = np.unique(code, return_index=True)
        watch = np.fromiter((self._row.get(names[at], NONE) for at in present.tolist()), np.int64, len(present))
        (new,) = (watch == NONE).nonzero()
        if len(new):
            order = new[np.argsort(first[new], kind="stable")]
            watch[order] = self._added([(names[present[at]], int(minute[first[at]])) for at in order.tolist()])
        levels = np.zeros((_LEVELS, len(names)), np.int64)
        for level in levels:
            level[present] = watch
            watch = self.parent[watch]
        return levels

    def _added(self, seen: list[tuple[Group, int]]) -> list[int]:
        """The watches of groups that are seen for the first time, each with the minute, in this order."""
        added, parents, began = list[int](), list[int](), self.began.tolist()
        for (task, model, config), minute in seen:
            above = NONE
            levels: tuple[AnyGroup, ...] = ((task, None, None), (task, model, None), (task, model, config))
            for group in levels:
                row = self._row.get(group)
                if row is None:
                    row = self._row[group] = len(self.groups)
                    self.groups.append(group)
                    parents.append(above)
                    began.append(minute if above == NONE else began[above])
                above = row
            added.append(above)
        self.parent = np.concatenate((self.parent, np.array(parents, np.int64)))
        self.began = np.array(began, np.int64)
        return added

    def is_config(self) -> Bools:
        """Whether it is no roll-up, shape (watches,)."""
        return np.fromiter((config is not None for _, _, config in self.groups), np.bool_, len(self.groups))

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"groups": self.groups, "parent": self.parent, "began": self.began}
