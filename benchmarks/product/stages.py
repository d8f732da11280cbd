"""Runs one command of aftercall and adds up the CPU time of each stage, from outside the product.

    python -m benchmarks.product.stages REPORT.json replay --calls … --outcomes … --out …

Before the command starts, the functions that each step is built from are replaced by ones that read
`time.thread_time_ns` before and after. They are called once a batch or once an epoch, so this costs next to nothing. A
stage has what its functions took in any thread of Python, without what functions of other stages took within them.
`engine` is the rest of the thread in which Bytewax runs, its recovery store included; `client` is the threads of
librdkafka, and `other` the rest of the process: the threads of DuckDB and of the metrics, and start and end.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import GeneratorType
from typing import Any, Final, NamedTuple

STAGES: Final = (
    "read", "decode", "split", "join", "groups", "drift", "alerting", "routing", "outputs", "snapshot", "recovery",
    "engine", "client", "other",
)  # fmt: skip
"""In the order of the dataflow."""
TARGETS: Final[dict[str, tuple[str, ...]]] = {
    "read": (
        "flows.replay:index",
        "connectors.files.lane:FileLane.next_batch",
        "connectors.kafka.lane:KafkaLane.next_batch",
    ),
    "decode": ("connectors.decode.decoder:Decoder.decode",),
    "split": ("flows.outcomes:to_shards",),
    "join": ("models.join:Join.process",),
    "groups": ("models.groups:Groups.process",),
    "drift": ("models.drift:Drift.close", "models.drift:Drift.digests"),
    "alerting": ("models.alerts:Alerting.close",),
    "routing": ("models.routing:Routing.close",),
    "outputs": (
        "flows.dataflow.outputs:verdicts",
        "flows.dataflow.outputs:unreadable()",
        "flows.dataflow.outputs:unjoined()",
        "flows.dataflow.outputs:folded()",
        "flows.dataflow.outputs:drifted",
        "flows.dataflow.outputs:recommended",
        "flows.dataflow.outputs:keyed_json",
        "flows.dataflow.outputs:letter_json",
        "flows.dataflow.outputs:heartbeat",
        "connectors.files.jsonl_sink:JsonlPartition.write_batch",
        "connectors.kafka.writer:KafkaWriter.write",
        "connectors.kafka.writer:KafkaWriter.settle",
        "connectors.kafka.after_epoch:AfterEpochPart.write_batch",
    ),
    "snapshot": (
        "flows.dataflow.outputs:joined_history()",
        "flows.dataflow.outputs:read_history",
        "flows.dataflow.outputs:cell_history",
        "flows.dataflow.outputs:letter_history",
        "flows.dataflow.outputs:alert_history",
        "flows.dataflow.outputs:digest_history",
        "flows.dataflow.outputs:recommendation_history",
        "flows.dataflow.snapshot_sink:SnapshotPartition.write_batch",
        "flows.dataflow.snapshot_sink:SnapshotPartition.snapshot",
        "flows.dataflow.snapshot_sink:SnapshotPartition.close",
        "flows.dataflow.snapshot_sink:publish_counts",
    ),
    "recovery": (
        "flows.dataflow.steps:Step.snapshot",
        "models.rates:RateCells.state",
        "connectors.files.lane:FileLane.snapshot",
        "connectors.files.jsonl_sink:JsonlPartition.snapshot",
        "connectors.kafka.lane:KafkaLane.snapshot",
        "connectors.kafka.sink:KafkaPart.snapshot",
        "connectors.kafka.after_epoch:AfterEpochPart.snapshot",
    ),
    "engine": ("flows.replay:execute", "flows.service.member:execute"),
}
"""By stage, `module:name`; a name with `()` is a function that builds the function of a step."""
_SAMPLE_S: Final = 0.5
_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_SPENT_NS: Final[Counter[str]] = Counter()
_LOCK: Final = threading.Lock()
_LOCAL: Final = threading.local()


class Owner(NamedTuple):
    """Where a function is looked up: an object, the attribute, and whether it builds the function that is timed."""

    holder: Any
    attribute: str
    builds: bool


def main() -> None:
    """Run the command that the module describes."""
    report, arguments = Path(sys.argv[1]), sys.argv[2:]
    install()
    client = _ClientThreads()
    began_ns = time.process_time_ns()
    sys.argv = ["aftercall", *arguments]
    try:
        import_module("aftercall.__main__").main()
    finally:
        whole_ns = time.process_time_ns() - began_ns
        report.write_text(json.dumps({"whole_ns": whole_ns, "stages_ns": spent(whole_ns, client.spent_ns())}))


def install() -> None:
    """Replace the functions of all stages."""
    for stage, targets in TARGETS.items():
        for target in targets:
            holder, attribute, builds = owner(target)
            function = getattr(holder, attribute)
            setattr(holder, attribute, _builder(stage, function) if builds else timed(stage, function))


def owner(target: str) -> Owner:
    """What holds a target; it fails where the product has no such name any more."""
    module, _, path = target.partition(":")
    holder: Any = import_module(module)
    *classes, attribute = path.removesuffix("()").split(".")
    for name in classes:
        holder = getattr(holder, name)
    assert callable(getattr(holder, attribute)), f"{target} must be a function; the product has none (see TARGETS)"
    return Owner(holder, attribute, path.endswith("()"))


def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose time is added to `stage`; a generator is read to its end within it."""

    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        within: list[int] = _LOCAL.__dict__.setdefault("within", [])
        within.append(0)
        began_ns = time.thread_time_ns()
        try:
            result = function(*args, **kwargs)
            return list(result) if isinstance(result, GeneratorType) else result
        finally:
            took_ns = time.thread_time_ns() - began_ns
            own_ns = took_ns - within.pop()
            if within:
                within[-1] += took_ns
            with _LOCK:
                _SPENT_NS[stage] += own_ns

    return measured


def spent(whole_ns: int, client_ns: int) -> dict[str, int]:
    """Nanoseconds by stage; they add up to the whole."""
    found = {stage: _SPENT_NS[stage] for stage in STAGES} | {"client": client_ns}
    return found | {"other": whole_ns - sum(found.values())}


def _builder(stage: str, build: Callable[..., Callable[..., Any]]) -> Callable[..., Any]:
    @functools.wraps(build)
    def built(*args: Any, **kwargs: Any) -> Callable[..., Any]:
        return timed(stage, build(*args, **kwargs))

    return built


class _ClientThreads:
    """Samples the threads of librdkafka, which Python does not see; those that have ended keep their last sample."""

    def __init__(self) -> None:
        self._ticks: dict[str, int] = {}
        threading.Thread(target=self._sample_for_ever, name="stages", daemon=True).start()

    def spent_ns(self) -> int:
        self._sample()
        return sum(self._ticks.values()) * _TICK_NS

    def _sample_for_ever(self) -> None:
        while True:
            self._sample()
            time.sleep(_SAMPLE_S)

    def _sample(self) -> None:
        for task in Path("/proc/self/task").iterdir():
            with suppress(OSError):
                head, _, tail = (task / "stat").read_text().rpartition(")")
                if "(rdk" in head:
                    fields = tail.split()
                    self._ticks[task.name] = int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    main()
