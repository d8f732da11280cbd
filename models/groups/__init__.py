"""Merge the shards, hold the caps on groups, and close minutes.

`groups.py` is the step, `naming.py` decides which groups are counted by name, `members.py` keeps those that are, and
`heavy_hitters.py` finds the busy others.
"""

from __future__ import annotations

from models.groups.groups import Grouped, Groups
from models.groups.members import TASKS
from models.groups.naming import Caps, Folding

__all__ = ["TASKS", "Caps", "Folding", "Grouped", "Groups"]
