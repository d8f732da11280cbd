"""Follows recommendations: draws the arm of the next call by the published weights, without waiting for anything.

`Routes(source).route(task_type, default=Arm(model, config))` gives the arm to call and what to log with the call. What
is recommended comes from a source that one thread reads: `KafkaSource`, `FileSource` or `SnapshotSource`. The SDK's
`Client` has the same as `client.route`.
"""

from __future__ import annotations

from aftercall.routes.arms import Arm, Reason, Route
from aftercall.routes.file_source import FileSource
from aftercall.routes.kafka_source import KafkaSource
from aftercall.routes.routes import Routes
from aftercall.routes.snapshot_source import SnapshotSource
from aftercall.routes.source import Reader, RecommendationSource

__all__ = [
    "Arm",
    "FileSource",
    "KafkaSource",
    "Reader",
    "Reason",
    "RecommendationSource",
    "Route",
    "Routes",
    "SnapshotSource",
]
