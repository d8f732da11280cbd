"""Defines the wire format of aftercall, which joins LLM agent calls with their delayed outcomes.

`AgentCall`, `Outcome` and `Mark` go in; `VerdictRecord`, `Recommendation`, `Alert` and `DeadLetter` come out.
`open_snapshot` opens the tables for SQL, `get_insights` answers what changed in one task type.
"""

from __future__ import annotations

from aftercall.durations import format_duration, parse_duration
from aftercall.events import AgentCall, Outcome
from aftercall.insights import Insights, get_insights
from aftercall.marks import Mark
from aftercall.records import (
    DEAD_LETTER_REASONS,
    Alert,
    Arm,
    DeadLetter,
    Degraded,
    Digest,
    DigestEntry,
    FileOrigin,
    NamedMark,
    Recommendation,
    Record,
    Segment,
    Slice,
    TopicOrigin,
    VerdictRecord,
    alert_id,
    content_hash,
    to_json,
)
from aftercall.snapshot import NoSnapshotError, open_snapshot
from aftercall.times import format_time, parse_time

__version__ = "0.1.0"

__all__ = [
    "DEAD_LETTER_REASONS",
    "AgentCall",
    "Alert",
    "Arm",
    "DeadLetter",
    "Degraded",
    "Digest",
    "DigestEntry",
    "FileOrigin",
    "Insights",
    "Mark",
    "NamedMark",
    "NoSnapshotError",
    "Outcome",
    "Recommendation",
    "Record",
    "Segment",
    "Slice",
    "TopicOrigin",
    "VerdictRecord",
    "__version__",
    "alert_id",
    "content_hash",
    "format_duration",
    "format_time",
    "get_insights",
    "open_snapshot",
    "parse_duration",
    "parse_time",
    "to_json",
]
