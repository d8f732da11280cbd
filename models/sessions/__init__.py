"""Turn what is said about a session into statements on its calls, before the join (docs/decisions/0023).

`shard.py` is the step of one shard among the lanes, `sessions.py` its sessions. `members.py` keeps the calls of each
session, `lone.py` and `talk.py` what was said about it. Fast path: `lone_path.py`; slow path: `resolver.py` decides
when an outcome reaches which calls, `scopes.py` picks them; `dispatch.py` decides which record takes which. `checks.py`
judges calls by rules over sessions, `courses.py` keeps what these remember.
"""

from __future__ import annotations

from models.sessions.checks import times_of
from models.sessions.merged import merged_sessions
from models.sessions.records import (
    JudgedInSession,
    SessionArrivals,
    SessionBook,
    SessionCalls,
    SessionOutcomes,
    SessionRefusal,
)
from models.sessions.rules import SessionRules
from models.sessions.sessions import Sessions
from models.sessions.shard import Resolving, SessionErasure, SessionPart, SessionShard

__all__ = [
    "JudgedInSession",
    "Resolving",
    "SessionArrivals",
    "SessionBook",
    "SessionCalls",
    "SessionErasure",
    "SessionOutcomes",
    "SessionPart",
    "SessionRefusal",
    "SessionRules",
    "SessionShard",
    "Sessions",
    "merged_sessions",
    "times_of",
]
