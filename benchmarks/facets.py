"""Measures what facets cost: `python -m benchmarks.facets`; some two minutes.

Decoder, join and group step read the same records with their facets and without, by turns in one process. Shown is the
sum over batches of the least processor time of `ROUNDS`, and the ratio of the two. Docs: decision 0040.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from random import Random
from time import process_time
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import orjson

from aftercall.times import format_time, to_us
from connectors.batch import Batch
from connectors.decode.decoder import Decoder
from flows.dataflow.shards import SHARDS, split
from models.groups import Caps, Groups
from models.join import Join, JoinRules

CALLS: Final = 60_000
BATCH: Final = 20_000
ROUNDS: Final = 8
START: Final = datetime(2026, 3, 2, tzinfo=UTC)
STEPS: Final = ("decode", "join", "groups")
Record = tuple[float, int, bytes]
"""Seconds since `START`, 1 for an outcome, and the line."""


def records(kind: str) -> list[Record]:
    """Two calls a second in 60 groups, with an outcome for nine in ten; `kind`: what calls have."""
    draw, found = Random(1), list[Record]()
    for number in range(CALLS):
        at = number / 2
        call: dict[str, Any] = {"call_id": f"{draw.getrandbits(128):032x}", "occurred_at": _time(at)}
        call |= {"task_type": f"t{draw.randrange(6)}", "model": f"m{draw.randrange(5)}", "config": f"c{number % 2}"}
        call |= {"latency_ms": draw.randrange(5000), "cost_usd": 0.001, "session_id": f"s{number // 5}"}
        call |= {"tokens": 500} if kind == "none" else {"tokens_in": draw.choice((100, 500, 3000, 20_000))}
        if kind == "all":
            call["attrs"] = {"language": draw.choice(("de", "en", "fr")), "tier": "gold"}
            call["tool_calls"] = [{"name": "search", "ok": True, "latency_ms": 20}] * draw.randrange(3)
        found.append((at, 0, orjson.dumps(call)))
        if draw.random() < 0.9:
            said = {"outcome_id": "o", "call_id": call["call_id"], "source": "judge", "success": draw.random() < 0.9}
            later = at + draw.randrange(600)
            found.append((later, 1, orjson.dumps({**said, "occurred_at": _time(later)})))
    return sorted(found)


def _time(seconds: float) -> str:
    return format_time(to_us(START + timedelta(seconds=seconds)))


@contextmanager
def without_facets() -> Iterator[None]:
    """As if calls had none, and nothing were read for them."""

    def nothing(column: Any) -> Any:
        return np.zeros(len(column), np.uint32)

    places = {"contents.languages": nothing, "contents.tools": nothing, "fields.with_tokens": lambda facets, _: facets}
    with ExitStack() as stack:
        for place, instead in places.items():
            stack.enter_context(patch(f"connectors.decode.{place}", instead))
        yield


def spent(lines: list[Record]) -> np.ndarray[Any, Any]:
    """Processor time in s of each batch, shape (steps, batches)."""
    decoder, groups = Decoder(now_us=2**62, max_future_skew_us=0), Groups(len(SHARDS), Caps(1000, 1000, 1000))
    joins = {shard: Join(JoinRules()) for shard in SHARDS}
    times = []
    for begin in range(0, len(lines), BATCH):
        part, marks = lines[begin : begin + BATCH], [process_time()]
        batch = _decoded(decoder, part)
        marks.append(process_time())
        joined = [joins[shard].process(arrivals) for shard, arrivals in split(batch)]
        marks.append(process_time())
        for one in joined:
            groups.process(one.changes)
        times.append(np.diff([*marks, process_time()]))
    return np.array(times).T


def _decoded(decoder: Decoder, part: list[Record]) -> Batch:
    kinds = np.array([kind for _, kind, _ in part], np.uint8)
    rows = np.arange(len(part))
    batch = decoder.decode([line for *_, line in part], kinds, np.zeros(len(part), np.int32), rows, ["file"])
    wm = np.array([to_us(START + timedelta(seconds=at)) for at, *_ in part])
    batch.calls = batch.calls._replace(wm=wm[batch.calls.pos])
    batch.outcomes = batch.outcomes._replace(wm=wm[batch.outcomes.pos])
    batch.low = int(wm[-1])
    return batch


def main() -> None:
    """Print a line for each kind of records."""
    for kind in ("none", "tokens", "all"):
        lines = records(kind)
        least: dict[bool, np.ndarray[Any, Any]] = {}
        for turn in range(2 * ROUNDS):
            with_them = bool(turn % 2)
            context: AbstractContextManager[None] = nullcontext() if with_them else without_facets()
            with context:
                times = spent(lines)
            least[with_them] = np.minimum(least.get(with_them, times), times)
        own, base = least[True].sum(axis=1), least[False].sum(axis=1)
        steps = ", ".join(f"{name} {one / other:.3f}" for name, one, other in zip(STEPS, own, base, strict=True))
        both, all_ = own[:2].sum() / base[:2].sum(), own.sum() / base.sum()
        print(f"{kind}: decode and join {both:.3f}, with groups {all_:.3f} ({steps}; {own.sum():.2f} s)")


if __name__ == "__main__":
    main()
