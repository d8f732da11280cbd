"""A program that measures what one call of a wrapped function takes; run in environments with the SDK and little else.

    python response_path.py KIND DESTINATION ROUNDS CALLS SECONDS

Prints one JSON object: microseconds of the wrapped function and of the bare one. *Tight*: as fast as it goes, the round
with the best p99 of ROUNDS. *Paced*: 300 calls a second with pauses, so caches are cold as they are in an agent.
DESTINATION is the address of brokers, or a folder.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

RATE = 300
Timed = Callable[[Callable[[], object]], list[int]]


def bare() -> object:
    """What an agent would do, without the wait for a model."""
    return RESPONSE


def large() -> object:
    """A response of 200 kB, as SDKs of providers give."""
    return SimpleNamespace(
        model="gpt-4o", text="x" * 200_000, usage=SimpleNamespace(prompt_tokens=812, completion_tokens=210)
    )


RESPONSE: object = 1


def tight(call: Callable[[], object], calls: int) -> list[int]:
    """Nanoseconds of each call, in order of size."""
    clock = time.perf_counter_ns
    took = []
    for _ in range(calls):
        began = clock()
        call()
        took.append(clock() - began)
    return sorted(took)


def paced(call: Callable[[], object], seconds: float) -> list[int]:
    """The same with pauses."""
    clock = time.perf_counter_ns
    took = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = clock()
        call()
        took.append(clock() - began)
        time.sleep(1 / RATE)
    return sorted(took)


def quantiles(took: list[int]) -> dict[str, float]:
    """In microseconds."""
    return {"p50": took[len(took) // 2] / 1e3, "p99": took[int(len(took) * 0.99)] / 1e3}


def client(destination: str) -> Any:
    """One of ours, with a large queue: a full one would be faster."""
    import aftercall

    where = {"kafka": destination} if ":" in destination else {"file": destination}
    return aftercall.Client(**where, queue_events=1_000_000, queue_bytes=1 << 30)  # type: ignore[arg-type]  # one of both


def wrapped(kind: str, destination: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """The call that is measured, and what lets its events drain."""
    if kind == "aftercall":
        ours = client(destination)
        return ours.track("support", model="m", config="v7")(bare), lambda: ours.flush(5)
    if kind == "observed":
        return _observed(client(destination))
    if kind == "otel":
        return _otel()
    import langfuse

    langfuse.Langfuse(public_key="pk-lf-x", secret_key="sk-lf-x", host="http://127.0.0.1:9")  # noqa: S106  # no secret
    return langfuse.observe(bare), lambda: None


def _observed(ours: Any) -> tuple[Callable[[], object], Callable[[], object]]:
    response = large()

    def call() -> object:
        with ours.track("support", model="m") as found:
            found.observe(response)
        return response

    return call, lambda: ours.flush(5)


def _otel() -> tuple[Callable[[], object], Callable[[], object]]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):  # type: ignore[misc]  # not installed beside the pipeline
        def export(self, spans: object) -> Any:  # noqa: ARG002  # its signature
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("x")
    labels = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}

    def call() -> object:
        with tracer.start_as_current_span("chat m", attributes=labels):
            return bare()

    return call, lambda: provider.force_flush(5000)


def threads(destination: str, calls: int) -> dict[str, float]:
    """CPU of a call, all threads of the process together, among 64 threads."""
    ours = client(destination)
    call = ours.track("support", model="m")(bare)

    def work() -> None:
        for _ in range(calls // 64):
            call()

    began = time.process_time()
    running = [threading.Thread(target=work) for _ in range(64)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return {"cpu_us": 1e6 * (time.process_time() - began) / (calls // 64 * 64)}


def coroutines(destination: str, calls: int) -> dict[str, float]:
    """The same among 1,000 coroutines that run at once."""
    ours = client(destination)

    @ours.track("support", model="m")  # type: ignore[untyped-decorator]  # `client` gives Any
    async def call() -> None:
        await asyncio.sleep(0)

    async def all_of_them() -> None:
        for _ in range(max(1, calls // 1000)):
            await asyncio.gather(*(call() for _ in range(1000)))

    began = time.process_time()
    asyncio.run(all_of_them())
    return {"cpu_us": 1e6 * (time.process_time() - began) / (max(1, calls // 1000) * 1000)}


def measured(kind: str, destination: str, rounds: int, calls: int, seconds: float) -> dict[str, Any]:
    """All figures of one kind."""
    if kind in {"threads", "coroutines"}:
        return (threads if kind == "threads" else coroutines)(destination, calls)
    call, drain = wrapped(kind, destination)
    tight(call, 500)
    drain()
    found: dict[str, Any] = {"bare_tight": quantiles(tight(bare, calls)), "bare_paced": quantiles(paced(bare, 1.0))}
    best: list[dict[str, float]] = []
    for _ in range(rounds):
        best.append(quantiles(tight(call, calls)))
        drain()
    found["tight"] = min(best, key=lambda one: one["p99"])
    found["paced"] = quantiles(paced(call, seconds))
    found["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


if __name__ == "__main__":
    _, kind_, destination_, rounds_, calls_, seconds_ = sys.argv
    sys.stdout.write(json.dumps(measured(kind_, destination_, int(rounds_), int(calls_), float(seconds_))) + "\n")
    sys.stdout.flush()
    # The end of the program is not measured here, and peers wait long for a server that is away.
    import os

    os._exit(0)
