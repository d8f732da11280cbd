"""Turn what is said about a session into statements on its calls, before the join (docs/decisions/0023).

`sessions.py` is the step. `members.py` keeps the calls of each session, `lone.py` and `talk.py` what was said about it.
Fast path: `lone_path.py`; slow path: `resolver.py` decides when an outcome reaches which calls, `scopes.py` picks them;
`dispatch.py` decides which record takes which. The dataflow does not have the step yet.
"""

from __future__ import annotations

from models.sessions.records import SessionArrivals, SessionCalls, SessionOutcomes
from models.sessions.rules import SessionRules
from models.sessions.sessions import Sessions

__all__ = ["SessionArrivals", "SessionCalls", "SessionOutcomes", "SessionRules", "Sessions"]
