"""Merge the shards, hold the caps on groups, and close minutes.

`groups.py` is the step, `naming.py` decides which groups are counted by name, `heavy_hitters.py` finds the busy others.
"""

from __future__ import annotations

from models.groups.groups import Grouped, Groups
from models.groups.naming import Caps, Folding

__all__ = ["Caps", "Folding", "Grouped", "Groups"]
