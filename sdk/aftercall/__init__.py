"""Defines the wire format of aftercall, which joins LLM agent calls with their delayed outcomes, and its producer.

`Client` emits calls and outcomes from an agent, `Call` is one that runs, `CallResult` what `client.call` gives,
`Stats` counts events; `guard` judges calls by contracts and gives a `Verification` of each. `AgentCall`, `Outcome` and
`Mark` are what goes in; `VerdictRecord`, `Recommendation`, `Alert` and `DeadLetter` come out. `open_snapshot` opens the
tables for SQL, `get_insights` answers what changed in one task type.

Each name is loaded when it is first used: an agent that starts pays for neither pydantic nor a client of Kafka.
"""

from __future__ import annotations

TYPE_CHECKING = False  # As `typing` has it, which would cost an agent 5 ms here.
if TYPE_CHECKING:
    from aftercall.capture.call import Call
    from aftercall.capture.captures import CallResult
    from aftercall.capture.verification import CheckResult, Judgement, Verification
    from aftercall.client import Client
    from aftercall.durations import format_duration, parse_duration
    from aftercall.emitter.tally import Stats
    from aftercall.events import AgentCall, Outcome
    from aftercall.guarding.counts import GuardStats
    from aftercall.guarding.guard import Guard, GuardedResult, guard
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
    "Call",
    "CallResult",
    "CheckResult",
    "Client",
    "DeadLetter",
    "Degraded",
    "Digest",
    "DigestEntry",
    "FileOrigin",
    "Guard",
    "GuardStats",
    "GuardedResult",
    "Insights",
    "Judgement",
    "Mark",
    "NamedMark",
    "NoSnapshotError",
    "Outcome",
    "Recommendation",
    "Record",
    "Segment",
    "Slice",
    "Stats",
    "TopicOrigin",
    "VerdictRecord",
    "Verification",
    "__version__",
    "alert_id",
    "content_hash",
    "format_duration",
    "format_time",
    "get_insights",
    "guard",
    "open_snapshot",
    "parse_duration",
    "parse_time",
    "to_json",
]

_NAMES_OF = {
    "capture.call": ("Call",),
    "capture.captures": ("CallResult",),
    "capture.verification": ("CheckResult", "Judgement", "Verification"),
    "client": ("Client",),
    "durations": ("format_duration", "parse_duration"),
    "emitter.tally": ("Stats",),
    "events": ("AgentCall", "Outcome"),
    "guarding.counts": ("GuardStats",),
    "guarding.guard": ("Guard", "GuardedResult", "guard"),
    "insights": ("Insights", "get_insights"),
    "marks": ("Mark",),
    "records": (
        "DEAD_LETTER_REASONS",
        "Alert",
        "Arm",
        "DeadLetter",
        "Degraded",
        "Digest",
        "DigestEntry",
        "FileOrigin",
        "NamedMark",
        "Recommendation",
        "Record",
        "Segment",
        "Slice",
        "TopicOrigin",
        "VerdictRecord",
        "alert_id",
        "content_hash",
        "to_json",
    ),
    "snapshot": ("NoSnapshotError", "open_snapshot"),
    "times": ("format_time", "parse_time"),
}
_HOME = {name: module for module, names in _NAMES_OF.items() for name in names}
"""Where each public name is defined; `tests/sdk/test_lazy.py` compares it with the imports for type checkers."""

if not TYPE_CHECKING:  # A type checker that saw it would accept any name.

    def __getattr__(name):  # noqa: ANN001, ANN202
        if name not in _HOME:
            raise AttributeError(f"module 'aftercall' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"aftercall.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
