"""Merge the shards, hold the caps on groups, and close minutes.

`groups.py` is the step, `naming.py` decides which groups are counted by name, `members.py` keeps those that are, and
`heavy_hitters.py` finds the busy others. `usual_lateness.py` keeps out of closed minutes what came too late for them,
and `marks.py` knows which marks were read.
"""

from __future__ import annotations

from models.groups.groups import Grouped, Groups
from models.groups.marks import MarkRefusal
from models.groups.members import TASKS
from models.groups.naming import Caps, Folding
from models.groups.usual_lateness import LateCalls

__all__ = ["TASKS", "Caps", "Folding", "Grouped", "Groups", "LateCalls", "MarkRefusal"]
