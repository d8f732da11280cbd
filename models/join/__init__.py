"""Joins calls with their outcomes; emits every change of a verdict as a difference.

The fast path takes whole columns, the slow path takes uncommon records one by one; both apply the same rules.
"""

from __future__ import annotations

from models.join.arrivals import Answer, Arrivals, CallColumns, OutcomeColumns, SaidOfCalls, SessionStatements
from models.join.contents import BITS
from models.join.erasure import erase
from models.join.held_calls import FAILURE, PENDING, SUCCESS
from models.join.join import Join
from models.join.joined import Joined, Judged, Judgement, Refusal
from models.join.ledger import SourceRule, VerdictRules
from models.join.merged import merged_shard
from models.join.rules import JoinRules, TaskRules
from models.join.strata import NONE_DECLARED, Segments

__all__ = [
    "BITS",
    "FAILURE",
    "NONE_DECLARED",
    "PENDING",
    "SUCCESS",
    "Answer",
    "Arrivals",
    "CallColumns",
    "Join",
    "JoinRules",
    "Joined",
    "Judged",
    "Judgement",
    "OutcomeColumns",
    "Refusal",
    "SaidOfCalls",
    "Segments",
    "SessionStatements",
    "SourceRule",
    "TaskRules",
    "VerdictRules",
    "erase",
    "merged_shard",
]
