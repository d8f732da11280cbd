"""Rules over sessions among several lanes: each accepted call has one result per rule, however messages pass."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from random import Random
from typing import Any, Final

import numpy as np
import pytest

from aftercall.times import MINUTE_US, NEVER, format_time
from connectors.batch import Batch
from connectors.decode.decoder import Decoder
from flows.dataflow.session_shards import to_join, to_sessions
from flows.dataflow.shards import SHARDS, to_shards
from models.join import Arrivals
from models.sessions import SessionPart
from oracle.contracts import OracleContract, OracleRule
from oracle.records import Rules
from oracle.session_checks import OracleSessionRule
from oracle.session_checks_direct import SessionDirect, session_direct

LANES: Final = ("lane-0", "lane-1", "lane-2")
START: Final = 29_000_000 * MINUTE_US
RULES = Rules(
    session_wait_us=2 * MINUTE_US,
    contracts=(
        OracleContract(
            "c",
            "1",
            (OracleRule("fast", "latency", 10, severity="major"),),
            session_rules=(OracleSessionRule("short", "calls", 3), OracleSessionRule("cheap", "usd", 1)),
        ),
    ),
    severe=frozenset(),
)


def lane(name: str, draw: Random) -> list[Batch]:
    """What one lane reads, in batches: calls of six sessions, now and then one again or a session later."""
    times = sorted(START + draw.randrange(60 * MINUTE_US) for _ in range(40))
    calls, read, seen = list[dict[str, Any]](), list[Batch](), NEVER
    for number, at in enumerate(times):
        moved = at - draw.choice([0, 0, 0, 5 * MINUTE_US])
        call: dict[str, Any] = {
            "call_id": f"{name}-{number}",
            "occurred_at": format_time(moved),
            "task_type": "t",
            "model": "m",
        }
        call |= {"cost_usd": 0.25} if draw.random() < 0.7 else {}
        session = {"session_id": f"s{draw.randrange(6)}"}
        calls += [call, call | session] if draw.random() < 0.2 else [call | session]
    for start in range(0, len(calls), 7):
        some = calls[start : start + 7]
        places = np.zeros(len(some), np.int32)
        decoder, lines = Decoder(now_us=2**62, max_future_skew_us=0), [json.dumps(one).encode() for one in some]
        batch = decoder.decode(
            lines, np.zeros(len(some), np.uint8), places, np.arange(start, start + len(some)), [name]
        )
        passed = np.maximum.accumulate(np.append(seen, batch.calls.at))
        batch.calls = batch.calls._replace(wm=passed[:-1])
        seen = int(passed[-1])
        batch.lane, batch.lanes, batch.low, batch.high = name, len(LANES), seen, seen
        batch.idle = batch.ended = batch.last = start + 7 >= len(calls)
        read.append(batch)
    return read


def mixed(channels: list[list[Any]], draw: Random) -> list[Any]:
    """What comes over some channels, each in its order."""
    waiting, found = [deque(one) for one in channels if one], []
    while waiting:
        one = draw.choice(waiting)
        found.append(one.popleft())
        waiting = [each for each in waiting if each]
    return found


def run(direct: SessionDirect, lanes: list[list[Batch]], draw: Random) -> None:
    """Each shard takes the lanes' batches, and the answers to them, in an order of its own."""
    parts = [[dict(to_sessions(batch)) for batch in each] for each in lanes]
    own = [[dict(to_shards(batch)) for batch in each] for each in lanes]
    answers: dict[str, list[list[Any]]] = defaultdict(list)
    for shard in SHARDS:
        given = defaultdict[str, list[Any]](list)
        for part in mixed([[part[shard] for part in each] for each in parts], draw):
            assert isinstance(part, SessionPart)
            for to, answer in to_join((shard, direct.sessions[shard].process(part))):
                given[to].append(answer)
        for to in SHARDS:
            answers[to].append(given[to])
    taken = {shard: mixed([*[[one[shard] for one in each] for each in own], *answers[shard]], draw) for shard in SHARDS}
    for message in mixed(list(taken.values()), draw):
        for arrivals in direct.gathered(message):
            assert isinstance(arrivals, Arrivals)
            join = direct.joins[arrivals.shard]
            open_minute = join.watermark // MINUTE_US
            joined = join.process(arrivals)
            assert (joined.changes.checks.minute >= open_minute).all()
            direct._take(joined)


@pytest.mark.parametrize("seed", range(4))
def test_each_accepted_call_has_one_result_of_each_rule_in_a_minute_that_is_open(seed: int) -> None:
    draw = Random(seed)
    direct = session_direct(RULES)
    run(direct, [lane(name, draw) for name in LANES], draw)
    assert len(direct.calls) == 40 * len(LANES)
    for rule in ("fast", "short", "cheap"):
        found = [key[0] for key in direct.checks if key[4] == rule]
        assert sorted(found) == sorted(call_id for call_id, _ in direct.calls)
        assert min(direct.check_counts.values()) >= 0
        assert sum(count for key, count in direct.check_counts.items() if key[3] == rule) == len(direct.calls)
    results = {key[0]: result for key, result in direct.checks.items() if key[4] == "short"}
    assert set(results.values()) == {"pass", "fail"}
