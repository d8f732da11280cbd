"""Makes seeded traffic as on the wire: calls and delayed outcomes, in arrival order.

There are 10 task types x 5 models x 4 configs at 2,000 calls a second. 87 % of the calls receive an outcome, after a
delay with a median of 20 s and a heavy tail; 6 % of those are revised later by the same source; 1 % of outcomes and
0.5 % of calls arrive twice; 1 % of outcomes name a call that was never sent. Identifiers are UUIDs (of calls version
7), and a record has 238 bytes on average.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

SEED: Final = 7
CALL: Final = 0
OUTCOME: Final = 1
START_US: Final = 1_772_366_400_000_000
"""2026-03-01T12:00:00Z."""
DAY_US: Final = 86_400_000_000

_CALLS_PER_S: Final = 2_000.0
_TASKS, _MODELS, _CONFIGS = 10, 5, 4
_ANSWERED: Final = 0.87
_REVISED: Final = 0.06
_REPEATED_OUTCOMES: Final = 0.01
_REPEATED_CALLS: Final = 0.005
_ORPHANS: Final = 0.01
_MEDIAN_DELAY_S, _DELAY_SIGMA = 20.0, 1.8
_TRANSPORT_S: Final = 0.3
_SOURCES: Final = ("user_feedback", "downstream", "judge")
_JUDGE: Final = 2
_REASONS: Final = ("", ',"reason":"the customer wrote again about the same thing"')
_REASONED: Final = 0.05
_PASS_AT: Final = 0.7

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Traffic:
    """Records in order of arrival; `kinds`, shape (n,), is `CALL` or `OUTCOME`, as their topic would be."""

    raws: list[bytes]
    kinds: NDArray[np.uint8]

    def first(self, count: int) -> Traffic:
        """The oldest `count` records."""
        return Traffic(self.raws[:count], self.kinds[:count])

    def write(self, path: Path) -> None:
        """Write one record per line, so that other processes need not generate them again."""
        path.write_bytes(b"\n".join(self.raws))
        np.save(path.with_suffix(".npy"), self.kinds)

    @classmethod
    def read(cls, path: Path) -> Traffic:
        """What `write` wrote."""
        return cls(path.read_bytes().split(b"\n"), np.load(path.with_suffix(".npy")))


def traffic(calls: int = 520_000, seed: int = SEED) -> Traffic:
    """The traffic of `calls` calls: about 1.94 records per call."""
    rng = np.random.default_rng(seed)
    at = START_US + np.sort(rng.uniform(0, calls / _CALLS_PER_S, calls) * 1e6).astype(np.int64)
    ids = _call_ids(rng, at)
    sent = _call_records(rng, ids, at)
    sent_at = at + _transport(rng, calls)

    of = np.flatnonzero(rng.random(calls) < _ANSWERED)
    source = rng.integers(0, len(_SOURCES), len(of))
    stated_at = at[of] + (rng.lognormal(np.log(_MEDIAN_DELAY_S), _DELAY_SIGMA, len(of)) * 1e6).astype(np.int64)
    stated = _outcome_records(rng, [ids[i] for i in of.tolist()], stated_at, source)

    again = np.flatnonzero(rng.random(len(of)) < _REVISED)
    revised_at = stated_at[again] + (rng.exponential(60.0, len(again)) * 1e6).astype(np.int64)
    revised = _outcome_records(rng, [ids[i] for i in of[again].tolist()], revised_at, source[again])

    orphans = round(_ORPHANS * len(of))
    orphan_at = rng.choice(stated_at, orphans)
    orphan = _outcome_records(rng, _random_ids(rng, orphans), orphan_at, rng.integers(0, len(_SOURCES), orphans))

    twice = np.flatnonzero(rng.random(len(of)) < _REPEATED_OUTCOMES)
    sent_twice = np.flatnonzero(rng.random(calls) < _REPEATED_CALLS)
    parts: list[tuple[int, list[bytes], Ints]] = [
        (CALL, sent, sent_at),
        (OUTCOME, stated, stated_at + _transport(rng, len(of))),
        (OUTCOME, revised, revised_at + _transport(rng, len(again))),
        (OUTCOME, orphan, orphan_at),
        (OUTCOME, [stated[i] for i in twice.tolist()], stated_at[twice] + 2_000_000 + _transport(rng, len(twice))),
        (CALL, [sent[i] for i in sent_twice.tolist()], sent_at[sent_twice] + 500_000),
    ]
    arrival = np.concatenate([part[2] for part in parts])
    kinds = np.concatenate([np.full(len(part[1]), part[0], np.uint8) for part in parts])
    raws = [raw for part in parts for raw in part[1]]
    order = np.argsort(arrival, kind="stable")
    return Traffic([raws[i] for i in order.tolist()], kinds[order])


def several(calls: int, statements: int, seed: int = SEED) -> Traffic:
    """Calls with `statements` outcomes each, of sources that take turns; 1 % of the outcomes arrive twice."""
    rng = np.random.default_rng(seed)
    at = START_US + np.sort(rng.uniform(0, calls / _CALLS_PER_S, calls) * 1e6).astype(np.int64)
    ids = _call_ids(rng, at)
    of = np.repeat(np.arange(calls), statements)
    source = (np.arange(calls)[:, None] + np.arange(statements)).ravel() % len(_SOURCES)
    stated_at = at[of] + (rng.lognormal(np.log(_MEDIAN_DELAY_S), _DELAY_SIGMA, len(of)) * 1e6).astype(np.int64)
    stated = _outcome_records(rng, [ids[i] for i in of.tolist()], stated_at, source)
    twice = np.flatnonzero(rng.random(len(of)) < _REPEATED_OUTCOMES)
    arrival = np.concatenate(
        [
            at + _transport(rng, calls),
            stated_at + _transport(rng, len(of)),
            stated_at[twice] + 2_000_000 + _transport(rng, len(twice)),
        ]
    )
    raws = _call_records(rng, ids, at) + stated + [stated[i] for i in twice.tolist()]
    kinds = np.full(len(raws), OUTCOME, np.uint8)
    kinds[:calls] = CALL
    order = np.argsort(arrival, kind="stable")
    return Traffic([raws[i] for i in order.tolist()], kinds[order])


def held_calls(calls: int, batch: int, seed: int = SEED) -> Iterator[Traffic]:
    """Calls of one day, of which every second one has one outcome; yields `batch` calls and their outcomes at a time.

    No outcome has a reason: the join holds that text as it is, in addition to the measured memory.
    """
    rng = np.random.default_rng(seed)
    step = DAY_US // calls
    for start in range(0, calls, batch):
        at = START_US + np.arange(start, min(start + batch, calls)) * step
        ids = _call_ids(rng, at)
        source = rng.integers(0, len(_SOURCES), len(ids[::2]))
        stated_at = at[::2] + step * batch
        raws = _call_records(rng, ids, at) + _outcome_records(rng, ids[::2], stated_at, source, reasons=0.0)
        kinds = np.full(len(raws), OUTCOME, np.uint8)
        kinds[: len(ids)] = CALL
        yield Traffic(raws, kinds)


def _call_records(rng: np.random.Generator, ids: list[str], at: Ints) -> list[bytes]:
    count = len(ids)
    columns = zip(
        ids,
        _texts(at),
        rng.integers(0, _TASKS, count).tolist(),
        rng.integers(0, _MODELS, count).tolist(),
        rng.integers(0, _CONFIGS, count).tolist(),
        rng.integers(1, 100_000, count).tolist(),
        np.round(rng.lognormal(6, 1, count), 2).tolist(),
        np.round(rng.gamma(2, 0.01, count), 6).tolist(),
        rng.integers(200, 8_000, count).tolist(),
        rng.integers(20, 2_000, count).tolist(),
        strict=True,
    )
    return [
        f'{{"type":"call","call_id":"{call_id}","occurred_at":"{time}","task_type":"task_{task}","model":"model-{model}",'
        f'"config":"prompt-{config}","session_id":"session-{session:06d}","latency_ms":{latency},"cost_usd":{cost},'
        f'"tokens_in":{tokens_in},"tokens_out":{tokens_out}}}'.encode()
        for call_id, time, task, model, config, session, latency, cost, tokens_in, tokens_out in columns
    ]


def _outcome_records(
    rng: np.random.Generator, call_ids: list[str], at: Ints, source: Ints, reasons: float = _REASONED
) -> list[bytes]:
    """Outcomes: judges give a score, the other sources a verdict; a share `reasons` of all has a reason."""
    count = len(call_ids)
    score = np.round(rng.beta(4, 1, count), 3)
    columns = zip(
        _random_ids(rng, count),
        call_ids,
        _texts(at),
        source.tolist(),
        score.tolist(),
        (rng.random(count) < reasons).astype(int).tolist(),
        strict=True,
    )
    return [
        (
            f'{{"type":"outcome","outcome_id":"{outcome_id}","call_id":"{call_id}","occurred_at":"{time}",'
            f'"source":"{_SOURCES[source]}",'
            + (f'"score":{score}' if source == _JUDGE else f'"success":{"true" if score >= _PASS_AT else "false"}')
            + _REASONS[reason]
            + "}"
        ).encode()
        for outcome_id, call_id, time, source, score, reason in columns
    ]


def _call_ids(rng: np.random.Generator, at: Ints) -> list[str]:
    """UUIDv7: 48 bits of milliseconds, then random bits."""
    chance = rng.bytes(10 * len(at)).hex()
    return [
        f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{chance[i : i + 3]}-a{chance[i + 3 : i + 6]}-{chance[i + 6 : i + 18]}"
        for i, ms in zip(range(0, 20 * len(at), 20), (at // 1000).tolist(), strict=True)
    ]


def _random_ids(rng: np.random.Generator, count: int) -> list[str]:
    """UUIDv4."""
    chance = rng.bytes(16 * count).hex()
    return [
        f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"
        for h in (chance[i : i + 32] for i in range(0, 32 * count, 32))
    ]


def _transport(rng: np.random.Generator, count: int) -> Ints:
    return (rng.exponential(_TRANSPORT_S, count) * 1e6).astype(np.int64)


def _texts(at: Ints) -> list[str]:
    texts: list[str] = np.datetime_as_string(at.astype("datetime64[us]"), timezone="UTC").tolist()
    return texts
