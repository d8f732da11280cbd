"""Two ids with one hash are two calls, and nothing that leaves depends on the seed."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from flows.dataflow.rows import call_rows, statement_rows, verdict_records
from flows.dataflow.shards import SHARDS
from models import plain
from models.columns.hash_index import HashIndex
from models.join import Joined, erase
from models.messages import Erasure
from oracle.direct import Direct, join_rules
from oracle.histories import HOMONYMS, History, histories
from oracle.order import File
from oracle.records import Rules

DAY_US = 86_400_000_000
RULES = Rules(horizon_us=DAY_US, allowed_lateness_us=0, orphan_wait_us=DAY_US, precedence=())
SEEDS = (0, 0x9F3A_51C2_77D1_0E6B)


def _call(call_id: str, minute: int) -> bytes:
    at = f"2026-01-01T01:{minute:02d}:00Z"
    return json.dumps({"call_id": call_id, "occurred_at": at, "task_type": "t", "model": "m"}).encode()


def _outcome(call_id: str, name: str, minute: int, *, success: bool) -> bytes:
    outcome = {"outcome_id": name, "call_id": call_id, "occurred_at": f"2026-01-01T01:{minute:02d}:00Z"}
    return json.dumps({**outcome, "source": "s", "success": success}).encode()


def test_the_pair_has_one_hash() -> None:
    """Or the tests below try nothing."""
    first, second = HOMONYMS
    assert first != second
    assert xxh3_64_intdigest(first.encode()) == xxh3_64_intdigest(second.encode())


CUTS: tuple[list[int], ...] = ([], [1], [2], [3], [1, 2, 3])


@pytest.mark.parametrize(
    ("order", "cuts", "seed"),
    [
        pytest.param(order, cuts, SEEDS[(turn + place) % 2], id=f"{order}-{cuts}")
        for turn, order in enumerate(permutations(range(4)))
        for place, cuts in enumerate(CUTS)
    ],
)
def test_the_outcome_of_one_call_does_not_decide_another_one_of_its_hash(
    order: tuple[int, ...], cuts: list[int], seed: int
) -> None:
    """Calls before outcomes, outcomes before calls, in one batch or several, each resumed from what was stored.

    The seeds by turns: each meets every order and every cut.
    """
    one, other = HOMONYMS
    made = [("calls", one), ("calls", other), ("outcomes", one), ("outcomes", other)]
    lines: dict[str, list[bytes]] = {"calls": [], "outcomes": []}
    for minute, place in enumerate(order):
        kind, name = made[place]
        line = _call(name, minute) if kind == "calls" else _outcome(name, "o", minute, success=name == one)
        lines[kind].append(line)
    history = History(RULES, tuple(File(kind, tuple(texts)) for kind, texts in lines.items()))
    direct = Direct(join_rules(RULES), seed)
    direct.run(history, cuts, [True] * len(cuts))
    assert +direct.tally == {"records": 4, "calls": 2, "outcomes": 2, "successes": 1, "failures": 1}
    assert {name: row["verdict"] for name, row in direct.newest.items()} == {one: "success", other: "failure"}


@pytest.mark.slow
@settings(max_examples=25)
@given(histories(), st.lists(st.integers(1, 60), max_size=4))
def test_what_leaves_is_the_same_in_the_same_order_under_two_seeds(history: History, cuts: list[int]) -> None:
    """Everything that leaves the shards, batch by batch, also after a resume, and also of ids with one hash."""

    class Listing(Direct):
        """Keeps all that leaves."""

        def _take(self, joined: Joined) -> None:
            left.append(_everything(joined))
            super()._take(joined)

    found = []
    for seed in SEEDS:
        left: list[Any] = []
        Listing(join_rules(history.rules), seed).run(history, cuts, [True, False] * 2)
        found.append(left)
    assert found[0] == found[1]


def _parts(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _everything(joined: Joined) -> list[Any]:
    changes = [[c.tolist() if isinstance(c, np.ndarray) else c for c in part] for part in map(_parts, joined.changes)]
    rows = [*call_rows(joined)], [*statement_rows(joined)], [*verdict_records(joined)]
    return [repr(changes), *rows, joined.judgements, joined.refused, joined.tally]


def test_a_key_of_its_own_is_forgotten_with_its_call() -> None:
    """It is kept while its call is held; the state that has its id is not kept longer."""
    one, other = HOMONYMS
    shard = SHARDS[xxh3_64_intdigest(one.encode()) % len(SHARDS)]
    lines = (_call(one, 1), _call(other, 2))
    direct = Direct(join_rules(RULES), SEEDS[1])
    direct.run(History(RULES, (File("calls", lines),)), [1], [True])
    join = direct.joins[shard]
    assert len(join.shard.homonyms) == 1
    assert len(join.shard.held) == 2
    erased = erase(join, Erasure("r", shard, ((xxh3_64_intdigest(other.encode()), other),)))
    assert erased.erased is not None
    assert erased.erased.held == 1
    assert other.encode() not in plain.pack(join.state())
    assert len(join.shard.homonyms) == 0
    later = json.dumps({"call_id": "x", "occurred_at": "2026-02-01T01:00:00Z", "task_type": "t", "model": "m"}).encode()
    after = Direct(join_rules(RULES), SEEDS[1])
    after.run(History(RULES, (File("calls", (*lines, later)),)), [2, 3], [])
    assert after.tally["expired"] == 2
    after.joins[shard].state()
    assert len(after.joins[shard].shard.homonyms) == 0


def test_an_erasure_of_one_call_leaves_another_one_of_its_hash() -> None:
    """Also where the call that is named is not there."""
    one, other = HOMONYMS
    shard = SHARDS[xxh3_64_intdigest(one.encode()) % len(SHARDS)]
    direct = Direct(join_rules(RULES))
    direct.run(History(RULES, (File("calls", (_call(one, 1),)),)), [], [])
    join = direct.joins[shard]
    erased = erase(join, Erasure("r", shard, ((xxh3_64_intdigest(other.encode()), other),)))
    assert erased.erased is not None
    assert erased.erased.held == 0
    assert len(join.shard.held) == 1


@pytest.mark.parametrize("seed", range(4))
def test_keys_that_were_chosen_for_one_slot_do_not_meet_there(seed: int) -> None:
    """The multiples of the inverse of the multiplier without a seed: 4,000 keys that begin at one slot."""
    golden = 0x9E3779B97F4A7C15
    inverse = pow(golden, -1, 2**64)
    keys = np.array([at * inverse % 2**64 for at in range(1, 4001)], np.uint64)
    drawn = 0 if seed == 0 else np.random.default_rng(seed).integers(2**63, dtype=np.uint64).item()
    index = HashIndex(seed=drawn)
    index.insert(keys, np.arange(4000, dtype=np.int32))
    assert index.find(keys).tolist() == list(range(4000))
    starts = len(np.unique(index._home(keys)))
    assert starts == 1 if drawn == 0 else starts > 500
