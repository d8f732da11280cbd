"""Makes traffic in which a share of the calls is edited, is answered by two people, or is reported twice.

Each kind adds one record to a call that has it, so a share of 1 has one and a half times the records of plain traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from benchmarks.product.traffic import CALL, OUTCOME, SEED, SOURCES, Record, Records, Shape, in_order, traffic

SHARES: Final = (0.1, 0.5, 1.0)
_LATER_US: Final = 400_000
_ENDS_WITH: Final = ("latency_ms", "cost_usd", "tokens_in", "tokens_out", "error", "output")
"""What a producer knows only when the call has ended."""


class Kind(NamedTuple):
    """One kind of what people send.

    Attributes:
        of: CALL or OUTCOME, the records of which a share is taken.
        made: what is sent in place of one record, and what follows it.
        settings: lines of `aftercall.toml` that the kind needs, for each source; `{source}` stands for its name.
    """

    of: int
    made: Callable[[Record], tuple[Record, Record]]
    settings: str


def _edited(vote: Record) -> tuple[Record, Record]:
    """The vote, and another verdict under its id."""
    return vote, vote | {"occurred_at": _later(vote["occurred_at"]), "success": not vote.get("success"), "score": None}


def _by_two(vote: Record) -> tuple[Record, Record]:
    """The same verdict by two people, under two ids."""
    other = {"outcome_id": f"{vote['outcome_id']}-2", "author": "ben", "occurred_at": _later(vote["occurred_at"])}
    return vote | {"author": "ana"}, vote | other


def _in_two_records(call: Record) -> tuple[Record, Record]:
    """What is known when a call starts, and the whole of it at its end."""
    started = {name: value for name, value in call.items() if name not in _ENDS_WITH}
    return started, call | {"occurred_at": _later(call["occurred_at"])}


KINDS: Final[Mapping[str, Kind]] = {
    "editions": Kind(OUTCOME, _edited, '[verdict.source.{source}]\nsame_id = "revises"\n'),
    "authors": Kind(OUTCOME, _by_two, '[verdict.source.{source}]\ncombine = "majority"\n'),
    "completions": Kind(CALL, _in_two_records, ""),
}


def settings(kind: str) -> str:
    """The lines of `aftercall.toml` for traffic of this kind; none for plain traffic."""
    return "".join(KINDS[kind].settings.format(source=source) for source in SOURCES) if kind else ""


def made(shape: Shape) -> Records:
    """The traffic of this shape, with its kind where it names one."""
    plain = traffic(shape)
    return in_order(list(_parts(plain, shape))) if shape.kind else plain


def _parts(plain: Records, shape: Shape) -> Iterator[Records]:
    """Each chosen record as two, the others as they are. Retractions stay: they assert nothing that could be edited."""
    kind = KINDS[shape.kind]
    chosen = (plain.kinds == kind.of) & (np.random.default_rng(SEED).random(len(plain)) < shape.share)
    values, keys, extra_values = list(plain.values), plain.keys, []
    rows = []
    for row in np.flatnonzero(chosen).tolist():
        record = orjson.loads(values[row])
        if record.get("action") != "retract":
            values[row], more = map(orjson.dumps, kind.made(record))
            extra_values.append(more)
            rows.append(row)
    yield Records(plain.arrival_us, plain.kinds, keys, values)
    later = plain.arrival_us[rows] + _LATER_US
    yield Records(later, plain.kinds[rows], [keys[row] for row in rows], extra_values)


def _later(text: Any) -> str:
    """An instant of the traffic's spellings, a moment later: in the next part of its second that all spellings have."""
    whole, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789")
    return f"{whole}.{min(999, int(rest[:3]) + 400):03d}{zone}"
