"""Joins item by item, as a competent Bytewax user would write and tune it.

It has pydantic models with only the fields that are needed; `stateful_flat_map` per call, where the newest statement
wins and repeats are ignored; then a window operator per group that counts verdicts and successes by the time of the
call. It does less than aftercall: no ledger, no retraction, no orphans, no delays, latencies or cost, one source per
call.

The tuning: records are validated and keyed by the batch (`flat_map_batch`), operators without Python code are used
where they exist, `ordered=False`, an event clock that never reads the system's clock, and the garbage collector frozen
by the caller. Windows are five minutes that slide by one minute, or tumbling minutes, which are cheaper and show less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Annotated, Any, Literal, NamedTuple

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.dataflow import Dataflow
from pydantic import BaseModel, Field, TypeAdapter

import aftercall
from aftercall.times import EPOCH, parse_time
from benchmarks.in_memory import CountingSink, ListSource
from benchmarks.traffic import Traffic

BATCH = 1_000
_PASS_AT = 0.7
_ALIGNED = datetime(2026, 1, 1, tzinfo=UTC)
_WAIT = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


class Call(BaseModel):
    """The fields of a call that the rates need."""

    type: Literal["call"]
    call_id: str
    occurred_at: datetime
    task_type: str
    model: str
    config: str = "default"


class Outcome(BaseModel):
    """The fields of an outcome that the rates need."""

    type: Literal["outcome"]
    outcome_id: str
    call_id: str
    occurred_at: datetime
    success: bool | None = None
    score: float | None = None


class Held(NamedTuple):
    """State of a call: group and time once the call has arrived; the newest statement once there is one."""

    group: str | None
    called_at: datetime | None
    stated_at: datetime | None
    outcome_id: str
    success: bool


class Change(NamedTuple):
    """A difference of the counts of the window that the call belongs to."""

    called_at: datetime
    verdicts: int
    successes: int


Keyed = tuple[str, tuple[str, Change]]
_NOTHING: tuple[tuple[str, Change], ...] = ()
_validate = TypeAdapter(Annotated[Call | Outcome, Field(discriminator="type")]).validate_json


def _decode(raws: list[bytes]) -> list[tuple[str, Call | Outcome]]:
    return [(event.call_id, event) for event in map(_validate, raws)]


def decode_pydantic(raws: list[bytes]) -> list[tuple[str, Call | Outcome]]:
    """The same with the pydantic models of `aftercall.events`, which check all that the columnar decoder checks."""
    decoded: list[tuple[str, Call | Outcome]] = []
    for raw in raws:
        if b'"outcome_id":' in raw:
            outcome = aftercall.Outcome.model_validate_json(raw)
            at, call_id = EPOCH + timedelta(microseconds=parse_time(outcome.occurred_at)), outcome.call_id or ""
            lean_outcome = Outcome.model_construct(
                type="outcome",
                call_id=call_id,
                outcome_id=outcome.outcome_id,
                occurred_at=at,
                success=outcome.success,
                score=outcome.score,
            )
            decoded.append((call_id, lean_outcome))
        else:
            call = aftercall.AgentCall.model_validate_json(raw)
            at = EPOCH + timedelta(microseconds=parse_time(call.occurred_at))
            lean_call = Call.model_construct(
                type="call",
                call_id=call.call_id,
                occurred_at=at,
                task_type=call.task_type,
                model=call.model,
                config=call.config,
            )
            decoded.append((call.call_id, lean_call))
    return decoded


def _join(held: Held | None, event: Call | Outcome) -> tuple[Held, Iterable[tuple[str, Change]]]:
    if isinstance(event, Call):
        if held is not None and held.group is not None:
            return held, _NOTHING
        group = f"{event.task_type}|{event.model}|{event.config}"
        if held is None:
            return Held(group, event.occurred_at, None, "", False), _NOTHING
        change = Change(event.occurred_at, 1, int(held.success))
        return held._replace(group=group, called_at=event.occurred_at), ((group, change),)
    success = event.success if event.success is not None else event.score is not None and event.score >= _PASS_AT
    if held is None:
        return Held(None, None, event.occurred_at, event.outcome_id, success), _NOTHING
    if held.stated_at is not None and (event.occurred_at, event.outcome_id) <= (held.stated_at, held.outcome_id):
        return held, _NOTHING
    now = Held(held.group, held.called_at, event.occurred_at, event.outcome_id, success)
    if held.group is None or held.called_at is None:
        return now, _NOTHING
    if held.stated_at is None:
        return now, ((held.group, Change(held.called_at, 1, int(success))),)
    if held.success == success:
        return now, _NOTHING
    return now, ((held.group, Change(held.called_at, 0, 1 if success else -1)),)


def _count(total: tuple[int, int], change: Change) -> tuple[int, int]:
    return total[0] + change.verdicts, total[1] + change.successes


def _merge(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def flow(
    traffic: Traffic,
    sink: CountingSink,
    *,
    batch: int = BATCH,
    sliding: bool = False,
    decode: Callable[[list[bytes]], list[tuple[str, Call | Outcome]]] = _decode,
) -> Dataflow:
    """Build the dataflow: bytes in; (group, (window, (verdicts, successes))) out."""
    flow = Dataflow("per_item")
    raws = op.input("in", flow, ListSource(traffic.raws, batch))
    keyed = op.flat_map_batch("decode", raws, decode)
    joined = op.stateful_flat_map("join", keyed, _join)
    changes = op.map("by_group", joined, itemgetter(1))
    clock = win.EventClock(
        ts_getter=itemgetter(0),
        wait_for_system_duration=_WAIT,
        now_getter=lambda: _ALIGNED,
        to_system_utc=lambda _: None,
    )
    windower: win.Windower[Any] = (
        win.SlidingWindower(length=5 * _MINUTE, offset=_MINUTE, align_to=_ALIGNED)
        if sliding
        else win.TumblingWindower(length=_MINUTE, align_to=_ALIGNED)
    )
    counted = win.fold_window("rates", changes, clock, windower, lambda: (0, 0), _count, _merge, ordered=False)
    op.output("out", counted.down, sink)
    return flow
