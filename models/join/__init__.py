"""Joins calls with their outcomes; emits every change of a verdict as a difference.

The fast path takes whole columns, the slow path takes uncommon records one by one; both apply the same rules.
"""

from __future__ import annotations

from models.join.arrivals import Arrivals, CallColumns, OutcomeColumns
from models.join.contents import BITS
from models.join.erasure import erase
from models.join.held_calls import FAILURE, PENDING, SUCCESS
from models.join.join import Join
from models.join.joined import Joined, Judgement
from models.join.ledger import SourceRule, VerdictRules
from models.join.merged import merged_shard
from models.join.rules import JoinRules, TaskRules
from models.join.watermark import LaneClock

__all__ = [
    "BITS",
    "FAILURE",
    "PENDING",
    "SUCCESS",
    "Arrivals",
    "CallColumns",
    "Join",
    "JoinRules",
    "Joined",
    "Judgement",
    "LaneClock",
    "OutcomeColumns",
    "SourceRule",
    "TaskRules",
    "VerdictRules",
    "erase",
    "merged_shard",
]
