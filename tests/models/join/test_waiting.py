"""Outcomes without their call take little room, and a flood of them stops nothing and loses no other outcome."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections import Counter
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from aftercall.times import NEVER
from benchmarks.traffic import held_calls
from connectors.batch import ENDED
from connectors.decode.decoder import CALL, OUTCOME, Decoder
from connectors.kafka.quiet_calls import QuietCalls
from flows.dataflow.shards import SHARDS, split
from models import plain
from models.join import Join, JoinRules, merged_shard

T0 = datetime(2026, 1, 1, tzinfo=UTC)
T0_US = int(T0.timestamp()) * 1_000_000
HOUR_US = 3_600_000_000
RULES = JoinRules()
BOUND = 40
BATCH = 200


def _at(second: float) -> str:
    return (T0 + timedelta(seconds=second)).isoformat()


def _call(name: str, second: float) -> bytes:
    return json.dumps({"call_id": name, "occurred_at": _at(second), "task_type": "t", "model": "m"}).encode()


def _outcome(name: str, call: str, second: float, **more: Any) -> bytes:
    outcome = {"outcome_id": name, "call_id": call, "occurred_at": _at(second), "source": "s", "success": True}
    return json.dumps(outcome | more).encode()


class Lane:
    """One lane over one partition of each topic, which reads what `connectors.kafka.lane` would read."""

    def __init__(self, calls: list[tuple[float, bytes]], outcomes: list[tuple[float, bytes]], max_lead_us: int) -> None:
        self.left = [calls, outcomes]
        self.max_lead_us = max_lead_us
        self.clock = [NEVER, NEVER]
        self.joins = {shard: Join(RULES, most_early=BOUND) for shard in SHARDS}
        self.tally: Counter[str] = Counter()
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.turns = self.blocked_turns = self.most = 0
        self.quiet = QuietCalls(wait_s=5)
        self._decoder = Decoder(now_us=2**62, max_future_skew_us=0)

    def run(self) -> None:
        """Read to the end; a turn is a second."""
        while self.left[0] or self.left[1]:
            self.turn()
            assert self.turns < 10_000, "it does not go on"

    def turn(self) -> None:
        """Read one batch of what is not paused."""
        self.turns += 1
        needed = max((n for join in self.joins.values() if (n := join.blocked) is not None), default=None)
        self.blocked_turns += needed is not None
        behind = [clock for clock, left in zip(self.clock, self.left, strict=True) if left and clock != NEVER]
        slowest = min(behind, default=None)
        read = []
        for kind in (CALL, OUTCOME):
            ahead = slowest is not None and self.clock[kind] > slowest + self.max_lead_us
            if kind == CALL and needed is not None and self.clock[kind] <= needed:
                ahead = False
            if not ahead and not (kind == OUTCOME and needed is not None):
                read += [(kind, *record) for record in self.left[kind][:BATCH]]
                del self.left[kind][:BATCH]
        self._hand_over(read, needed)

    def _hand_over(self, read: list[tuple[int, float, bytes]], needed: int | None) -> None:
        kinds = np.array([kind for kind, *_ in read], np.uint8)
        places = np.arange(len(read), dtype=np.int64)
        batch = self._decoder.decode([raw for *_, raw in read], kinds, kinds.astype(np.int32), places, ["c", "o"])
        wm = []
        for kind, second, _ in read:
            wm.append(min(self.clock))
            self.clock[kind] = max(self.clock[kind], T0_US + int(second * 1_000_000))
        batch.calls.wm[:], batch.outcomes.wm[:] = (np.array(wm, np.int64)[c.pos] for c in (batch.calls, batch.outcomes))
        batch.low, batch.high, batch.last = min(self.clock), max(self.clock), False
        at_end = not self.left[CALL]
        batch.calls_low, batch.calls_high = ENDED if at_end else self.clock[CALL], self.clock[CALL]
        moved = CALL in kinds or not at_end
        if self.quiet.last_too_long(self.turns, moved=moved, blocked=needed is not None):
            batch.calls_high = ENDED
        for shard, arrivals in split(batch):
            joined = self.joins[shard].process(arrivals)
            self.tally.update(joined.tally)
            self.reasons.update((refusal.reason, refusal.detail) for refusal in joined.refused)
        self.most = max(self.most, sum(len(join.early) for join in self.joins.values()))


def _flood(count: int, first: float, seconds: float) -> list[tuple[float, bytes]]:
    times = [first + seconds * i / count for i in range(count)]
    return [(at, _outcome("o", f"stranger-{i}", at)) for i, at in enumerate(times)]


@pytest.mark.parametrize("max_lead_us", [HOUR_US, HOUR_US // 60])
@pytest.mark.parametrize("hours", [0.5, 10])
def test_a_flood_of_outcomes_whose_calls_never_come_passes_by_live_calls(hours: float, max_lead_us: int) -> None:
    """Ten times as many as may wait, within half an hour or over ten; the live calls' outcomes come behind them."""
    seconds = hours * 3_600
    live = [(seconds * i / 300, f"live-{i}") for i in range(300)]
    calls = [(at, _call(name, at)) for at, name in live]
    calls += [(seconds + 7_200.0 * i / 50, _call(f"later-{i}", seconds + 7_200.0 * i / 50)) for i in range(1, 51)]
    outcomes = _flood(10 * BOUND * len(SHARDS), 0, seconds)
    outcomes += [(seconds, _outcome("o", name, at + 1)) for at, name in live]
    lane = Lane(calls, outcomes, max_lead_us)
    lane.run()
    assert lane.tally["successes"] == len(live)
    assert lane.tally["orphans"] + lane.tally["waiting"] == 10 * BOUND * len(SHARDS)
    assert set(lane.reasons) == {("orphan", "more than join.max_waiting outcomes wait")}
    assert lane.most <= BOUND * len(SHARDS) + BATCH


def test_where_calls_are_at_their_end_it_waits_for_them_and_then_goes_on_without_them() -> None:
    """For `orphan_wait` of wall clock, here five turns; once they have been given up, it does not wait again."""
    lane = Lane([(0, _call("only", 0))], _flood(10 * BOUND * len(SHARDS), 1, 60), HOUR_US)
    lane.left[OUTCOME].append((61, _outcome("o", "only", 61)))
    lane.run()
    assert lane.tally["successes"] == 1
    assert 5 <= lane.blocked_turns < 20
    assert lane.most <= BOUND * len(SHARDS) + BATCH


def test_calls_that_come_while_outcomes_have_no_room_meet_their_outcomes() -> None:
    """The producer of calls was away: what waited for its calls counts, all of it."""
    count = 3 * BOUND * len(SHARDS)
    outcomes = [(1 + i / 1000, _outcome("o", f"c-{i}", 1 + i / 1000)) for i in range(count)]
    lane = Lane([(0, _call("only", 0))], outcomes, HOUR_US)
    lane.quiet = QuietCalls(wait_s=1_000)
    for _ in range(12):
        lane.turn()
    assert lane.left[OUTCOME], "it must be paused by now"
    assert lane.tally["dead_letters"] == 0
    # Each call is a moment older than its outcome.
    lane.left[CALL] += [(0.9 + i / 1000, _call(f"c-{i}", 0.9 + i / 1000)) for i in range(count)]
    lane.run()
    assert lane.tally["successes"] == count
    assert +lane.tally == {"calls": count + 1, "outcomes": count, "successes": count}


def test_restarts_let_no_more_in_than_one_run() -> None:
    """A run that is killed again and again while outcomes have no room."""
    lane = Lane([(0, _call("only", 0))], _flood(10 * BOUND * len(SHARDS), 1, 60), HOUR_US)
    lane.quiet = QuietCalls(wait_s=1_000)
    for _ in range(40):
        lane.turn()
        lane.joins = {
            shard: Join.from_state(deepcopy(join.state()), RULES, most_early=BOUND)
            for shard, join in lane.joins.items()
        }
    assert lane.blocked_turns > 20
    assert lane.most <= BOUND * len(SHARDS) + BATCH
    assert lane.tally["dead_letters"] == 0


def test_a_wait_that_ends_for_very_many_at_once_ends_in_pieces() -> None:
    """A million dead letters in one batch would fill the memory."""
    shard = SHARDS[0]
    join = Join(RULES)
    lane = Lane([], [], HOUR_US)
    lane.joins = {name: join if name == shard else Join(RULES) for name in SHARDS}
    count = 160_000
    flood = _flood(count, 0, 60)
    for start in range(0, count, 40_000):
        lane._hand_over([(OUTCOME, 0, raw) for _, raw in flood[start : start + 40_000]], None)
    waited = len(join.early)
    assert waited > 12_000
    lane.clock = [int(1e18), int(1e18)]
    refused = []
    for _ in range(3):
        before = lane.tally["orphans"]
        lane._hand_over([], None)
        refused.append(lane.tally["orphans"] - before)
    assert refused[0] == 12 * 10_000
    assert sum(refused) == count
    assert +lane.tally == {"dead_letters": count, "orphans": count}


def _uuids(count: int, seed: int) -> list[str]:
    words = np.random.default_rng(seed).bytes(16 * count)
    return [str(UUID(bytes=words[i : i + 16])) for i in range(0, 16 * count, 16)]


def _grown(joins: dict[str, Join], records: list[bytes], kinds: np.ndarray[Any, Any]) -> int:
    """Bytes that the shards grow by, with nothing else kept."""
    decoder = Decoder(now_us=2**62, max_future_skew_us=0)
    warm = decoder.decode(records[:1], kinds[:1], np.zeros(1, np.int32), np.arange(1), ["p"])
    for _, arrivals in split(warm):  # what is loaded when the first record comes
        Join(RULES).process(arrivals)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for start in range(0, len(records), 5_000):
            part = slice(start, start + 5_000)
            size = len(records[part])
            batch = decoder.decode(records[part], kinds[part], np.zeros(size, np.int32), np.arange(size), ["p"])
            for shard, arrivals in split(batch):
                joins[shard].process(arrivals)
        decoder.decode([], kinds[:0], np.zeros(0, np.int32), np.zeros(0, np.int64), [])
        del batch, arrivals
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize(("reason", "most"), [(None, 168), ("it was no good at all", 198)])
def test_an_outcome_that_waits_takes_few_bytes(reason: str | None, most: int) -> None:
    """168 where it has no reason; ids are UUIDs. A reason takes its text."""
    count = 60_000
    ids = zip(_uuids(count, 1), _uuids(count, 2), strict=True)
    records = [_outcome(one, other, i / 100, reason=reason) for i, (one, other) in enumerate(ids)]
    joins = {shard: Join(RULES) for shard in SHARDS}
    grown = _grown(joins, records, np.full(count, OUTCOME, np.uint8))
    assert sum(len(join.early) for join in joins.values()) == count
    assert grown / count <= most


@pytest.mark.slow
def test_a_held_call_takes_few_bytes() -> None:
    """114 where every second one has a statement: its id is kept beside it. Units take 8 more, facets 4."""
    count = 60_000
    parts = list(held_calls(count, 10_000))
    joins = {shard: Join(RULES) for shard in SHARDS}
    grown = _grown(joins, [raw for part in parts for raw in part.raws], np.concatenate([part.kinds for part in parts]))
    held = sum(len(join.shard.held) for join in joins.values())
    assert held == count
    units = sum(join.shard.held.units.nbytes for join in joins.values())
    facets = sum(join.shard.held.facets.nbytes for join in joins.values())
    assert 8 <= units / held <= 9
    assert 4 <= facets / held <= 4.5
    assert (grown - units - facets) / held <= 114


def test_an_epoch_costs_what_changed() -> None:
    """A thousand more behind twenty thousand that wait: their changes are a twentieth of the state."""
    join = Join(RULES)
    lane = Lane([], [], HOUR_US)
    lane.joins = dict.fromkeys(SHARDS, join)
    flood = _flood(21_000, 0, 60)
    lane._hand_over([(OUTCOME, *record) for record in flood[:20_000]], None)
    state = plain.pack(join.state())
    lane._hand_over([(OUTCOME, *record) for record in flood[20_000:]], None)
    assert 1_000 <= join.unstored <= 1_100
    changes = plain.pack(join.changes())
    assert len(changes) < len(state) / 10
    again = Join.from_state(merged_shard(plain.unpack(state), [plain.unpack(changes)]), RULES)
    assert len(again.early) == 21_000


def test_twenty_thousand_outcomes_of_one_call_that_has_not_come_are_no_slower() -> None:
    """Beyond a few, those of one call are found by their ids."""
    join = Join(RULES)
    lane = Lane([], [], HOUR_US)
    lane.joins = dict.fromkeys(SHARDS, join)
    lane._hand_over([(OUTCOME, 0, _outcome(f"o{i}", "c", i / 10_000)) for i in range(20_000)], None)
    repeated = [(OUTCOME, 0.0, _outcome(f"o{i}", "c", i / 10_000)) for i in range(20_000)]
    lane._hand_over(repeated, None)
    assert lane.tally["duplicates"] == 20_000
    again = Join.from_state(plain.unpack(plain.pack(join.state())), RULES)
    lane.joins = dict.fromkeys(SHARDS, again)
    lane._hand_over([(CALL, 0, _call("c", 0))], None)
    assert lane.tally["outcomes"] == 20_000
    assert len(again.early) == 0
