"""Turn what is said about a session into statements on its calls, before the join (docs/decisions/0023).

`sessions.py` is the step, `members.py` keeps the calls of each session, `talk.py` what was said about it, `scopes.py`
picks calls, and `resolver.py` decides when an outcome reaches which of them. The dataflow does not have the step yet.
"""

from __future__ import annotations

from models.sessions.merged import merged_sessions
from models.sessions.records import (
    Resolved,
    SessionArrivals,
    SessionCalls,
    SessionOutcomes,
    SessionRefusal,
    SessionStatement,
    StatementColumns,
)
from models.sessions.rules import SessionRules
from models.sessions.sessions import Sessions

__all__ = [
    "Resolved",
    "SessionArrivals",
    "SessionCalls",
    "SessionOutcomes",
    "SessionRefusal",
    "SessionRules",
    "SessionStatement",
    "Sessions",
    "StatementColumns",
    "merged_sessions",
]
