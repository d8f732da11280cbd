"""Decodes marks. There are few, so pydantic reads each of them: there is no fast tier."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xxhash import xxh3_64_intdigest

from aftercall.marks import Mark, mark_id_of
from aftercall.times import format_time, parse_time
from aftercall.vocabulary import EVERY_TASK
from connectors.batch import I32, I64, MarkRow
from connectors.decode.validation import Refusal, examine_mark

_Read = tuple[list[MarkRow], dict[int, Refusal]]


def read_marks(
    raws: Sequence[bytes],
    rows: Sequence[int],
    origin: tuple[I32, I64],
    latest: int,
    task_alias: Callable[[str], str],
) -> _Read:
    """The marks among records, and why others are refused, by place in the batch. About 10 us each.

    Args:
        raws: all records of the batch.
        rows: places of those that are marks.
        origin: per record its partition and its offset there.
        latest: us; a mark that is dated later is refused as `future`.
        task_alias: the task type that counts for one that was sent.
    """
    accepted, refusals = [], {}
    for row in rows:
        read = _examined(raws[row], latest)
        if isinstance(read, Refusal):
            refusals[row] = read
            continue
        at = parse_time(read.occurred_at)
        named = task_alias(read.task_type) if read.task_type != EVERY_TASK else EVERY_TASK
        place = int(origin[0][row]), int(origin[1][row])
        identity = read.mark_id or mark_id_of(read.occurred_at, read.task_type, read.text)
        accepted.append(MarkRow(row, identity, at, named, read.text, _contents(read, at), raws[row], *place))
    return accepted, refusals


def _examined(raw: bytes, latest: int) -> Mark | Refusal:
    read = examine_mark(raw)
    if isinstance(read, Refusal):
        return read
    at = parse_time(read.occurred_at)
    if at > latest:
        detail = f"field 'occurred_at' is later than {format_time(latest)}; got {format_time(at)}"
        return Refusal("future", detail)
    return read


def _contents(mark: Mark, at: int) -> tuple[int, int, int]:
    """By which two marks of one id are compared: as they were sent, before aliases and redaction."""
    return at, xxh3_64_intdigest(mark.task_type.encode()), xxh3_64_intdigest((mark.text or "").encode())
