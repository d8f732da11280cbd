"""Makes traffic of which a share is edited, has two authors, comes in two records, is about sessions, or has texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from benchmarks.product.traffic import CALL, OUTCOME, SEED, SOURCES, Record, Records, Shape, in_order, traffic

CALLS_OF_A_SESSION: Final = 5
_LATER_US: Final = 400_000
_ENDS_WITH: Final = ("latency_ms", "cost_usd", "tokens_in", "tokens_out", "error", "output")
"""What a producer knows only when the call has ended."""
_TEXT: Final = "The parcel was sent on Monday and has not come; the customer asks for the money. "
_TEXT_BYTES: Final = 1_000
"""Of input and of output."""


class Kind(NamedTuple):
    """One kind of what people send.

    Attributes:
        of: CALL or OUTCOME, the records of which a share is taken.
        made: what is sent in place of a record, given the session of its call: one record, or two.
        settings: lines of `aftercall.toml` that the kind needs.
        shares: of the records, 0 to 1, at which it is measured.
    """

    of: int
    made: Callable[[Record, str], tuple[Record, ...]]
    settings: str = ""
    shares: tuple[float, ...] = (0.1, 0.5, 1.0)


def _edited(vote: Record, _session: str) -> tuple[Record, ...]:
    """The vote, and another verdict under its id."""
    return vote, vote | {"occurred_at": _later(vote["occurred_at"]), "success": not vote.get("success"), "score": None}


def _by_two(vote: Record, _session: str) -> tuple[Record, ...]:
    """The same verdict by two people, under two ids."""
    other = {"outcome_id": f"{vote['outcome_id']}-2", "author": "ben", "occurred_at": _later(vote["occurred_at"])}
    return vote | {"author": "ana"}, vote | other


def _in_two_records(call: Record, _session: str) -> tuple[Record, ...]:
    """What is known when a call starts, and the whole of it at its end."""
    started = {name: value for name, value in call.items() if name not in _ENDS_WITH}
    return started, call | {"occurred_at": _later(call["occurred_at"])}


def _on_its_session(vote: Record, session: str) -> tuple[Record, ...]:
    """The verdict on the session of the call, which is one on the last call of the session."""
    about = {name: value for name, value in vote.items() if name not in {"call_id", "call_occurred_at"}}
    return (about | {"session_id": session},)


def _with_texts(call: Record, _session: str) -> tuple[Record, ...]:
    """With 2 kB of texts, no two alike."""
    text = (call["call_id"] + _TEXT * _TEXT_BYTES)[:_TEXT_BYTES]
    return (call | {"input": text, "output": text[::-1]},)


def _for_each_source(line: str) -> str:
    return "".join(f"[verdict.source.{source}]\n{line}\n" for source in SOURCES)


KINDS: Final[Mapping[str, Kind]] = {
    "editions": Kind(OUTCOME, _edited, _for_each_source('same_id = "revises"')),
    "authors": Kind(OUTCOME, _by_two, _for_each_source('combine = "majority"')),
    "completions": Kind(CALL, _in_two_records),
    "sessions": Kind(OUTCOME, _on_its_session),
    "texts": Kind(CALL, _with_texts, shares=(1.0,)),
    "texts kept": Kind(CALL, _with_texts, '[texts]\nkeep = "all"\n', shares=(1.0,)),
}


def settings(kind: str) -> str:
    """The lines of `aftercall.toml` for traffic of this kind; none for plain traffic."""
    return KINDS[kind].settings if kind else ""


def made(shape: Shape) -> Records:
    """The traffic of this shape, with its kind where it names one."""
    plain = traffic(shape)
    return in_order(list(_parts(plain, shape))) if shape.kind else plain


def _parts(plain: Records, shape: Shape) -> Iterator[Records]:
    """Each chosen record as its kind has it, the others as they are, but that all calls are in sessions then.

    Retractions stay: they assert nothing that could be edited or moved.
    """
    kind, sessions = KINDS[shape.kind], _sessions(plain)
    chosen = (plain.kinds == kind.of) & (np.random.default_rng(SEED).random(len(plain)) < shape.share)
    values, keys = list(plain.values), list(plain.keys)
    later: list[tuple[int, bytes]] = []
    for row in range(len(plain)):
        record, session = orjson.loads(values[row]), sessions.get(keys[row], "unknown")
        if plain.kinds[row] == CALL:
            record["session_id"] = session
        records: tuple[Record, ...] = (record,)
        if chosen[row] and record.get("action") != "retract":
            records = kind.made(record, session)
        values[row] = orjson.dumps(records[0])
        keys[row] = records[0].get("call_id", session)
        later += [(row, orjson.dumps(more)) for more in records[1:]]
    yield Records(plain.arrival_us, plain.kinds, keys, values)
    rows = [row for row, _ in later]
    texts = [text for _, text in later]
    yield Records(plain.arrival_us[rows] + _LATER_US, plain.kinds[rows], [keys[row] for row in rows], texts)


def _sessions(plain: Records) -> dict[str, str]:
    """The session of each call: so many calls in a row, in order of arrival, are one."""
    calls = dict.fromkeys(key for key, kind in zip(plain.keys, plain.kinds.tolist(), strict=True) if kind == CALL)
    return {call: f"session-{number // CALLS_OF_A_SESSION:08d}" for number, call in enumerate(calls)}


def _later(text: Any) -> str:
    """An instant of the traffic's spellings, up to 400 ms later in its second, to the millisecond."""
    whole, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789")
    return f"{whole}.{min(999, int(rest[:3]) + 400):03d}{zone}"
