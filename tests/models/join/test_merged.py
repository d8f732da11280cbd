"""A shard that is put together from its stored state and the changes since is the shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import DAY_US
from flows.dataflow.shards import SHARDS
from models import plain
from models.join import Join, JoinRules
from models.join.erasure import erase
from models.join.merged import merged_shard
from models.messages import Erasure
from oracle.direct import Direct, join_rules
from oracle.histories import History, histories
from suites.of_ids import ids_of, waiting_of
from suites.steps import stream

Stored = dict[str, list[bytes]]
BRIEF = JoinRules(horizon_us=2 * DAY_US, allowed_lateness_us=0)


class Storing(Direct):
    """Stores the changes of each shard after each batch, behind a state that is stored now and then."""

    whole: Sequence[bool] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.turn = 0

    def _store(self, shard: str) -> None:
        self.turn += 1
        if self.whole and self.whole[self.turn % len(self.whole)]:
            self._stored[shard][:] = [plain.pack(self.joins[shard].state())]
        else:
            super()._store(shard)

    def put_together(self, shard: str) -> Join:
        """The shard from what is stored."""
        return self._resumed(shard)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    histories(kinds=frozenset({"authors", "editions"})),
    st.lists(st.integers(1, 60), max_size=6),
    st.lists(st.booleans(), max_size=7),
    st.booleans(),
)
def test_state_and_changes_are_the_state(
    history: History,
    cuts: list[int],
    whole: list[bool],
    keep: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    """Of every shard: rows, statements, ledgers, reasons, early outcomes and names, whenever which was stored."""
    direct = Storing(join_rules(history.rules))
    direct.whole = whole
    direct.run(history, cuts, [keep] * len(cuts))
    for shard in SHARDS:
        assert calls_of(direct.put_together(shard)) == calls_of(direct.joins[shard])


@pytest.mark.parametrize("whole_every", [1000, 7])
def test_of_a_busy_stream_too(whole_every: int) -> None:
    """Many calls with one statement that comes batches later, revisions, retractions and early outcomes."""
    joins = {shard: Join(BRIEF) for shard in SHARDS}
    stored: Stored = {shard: [] for shard in SHARDS}
    for turn, (shard, arrivals) in enumerate(stream(tuple(at / 20 for at in range(1, 20))).into("join")):
        if isinstance(arrivals, Erasure):
            erase(joins[shard], arrivals)
        else:
            joins[shard].process(arrivals)
        if joins[shard].unstored < 0 or turn % whole_every == 0:
            stored[shard] = [plain.pack(joins[shard].state())]
        else:
            stored[shard].append(plain.pack(joins[shard].changes()))
        if turn % 5 == 0:
            state, *changes = map(plain.unpack, stored[shard])
            assert calls_of(Join.from_state(merged_shard(state, changes), BRIEF)) == calls_of(copied(joins[shard]))


def copied(join: Join) -> Join:
    """A shard of the same state, so that looking at it disturbs nothing."""
    changed, names = join.shard.held._changed, join.shard._stored
    touched, names_stored = join.early._touched, join.early._table._stored
    copy = Join.from_state(plain.unpack(plain.pack(join.state())), BRIEF)
    join.shard.held._changed, join.shard._stored, join.early._touched = changed, names, touched
    join.early._table._stored = names_stored
    return copy


@given(histories(), st.lists(st.integers(1, 60), max_size=6))
@settings(max_examples=12)
def test_after_an_erasure_only_the_whole_state_will_do(history: History, cuts: list[int]) -> None:
    """What was stored before names the call, so that it must be replaced."""
    direct = Storing(join_rules(history.rules))
    direct.run(history, cuts, [])
    for shard, join in direct.joins.items():
        if join.unstored >= 0:
            erase(join, Erasure("r", shard, ((1, "no such call"),)))
            assert join.unstored < 0
            join.state()
            assert join.unstored == 0


def calls_of(join: Join) -> dict[str, Any]:
    """A shard by the keys of its calls, whatever its rows and codes are."""
    state = plain.unpack(plain.pack(join.state()))
    held, groups = state["held"], state["groups"]
    sources = held["sources"]
    pool = held["statements"]
    ids, outcome_ids = ids_of(held["calls"]["ids"]), ids_of(pool["ids"])
    statements: dict[int, list[Any]] = {}
    for at, row in enumerate(held["owners"].tolist()):
        one = {name: column[at].item() for name, column in pool.items() if isinstance(column, np.ndarray)}
        one |= {"source": sources[one["source"]], "score": repr(one["score"]), "id": outcome_ids[at]}
        one |= {"author": held["authors"][one["author"]]}
        one |= {"reason": pool["reasons"].get(at), "retracts": pool["retracts"].get(at)}
        statements.setdefault(row, []).append(one)
    calls = {}
    for row, key in enumerate(held["keys"].tolist()):
        columns = {name: column[row].item() for name, column in held["calls"].items() if name != "ids"}
        columns["group"] = groups[columns["group"]]
        calls[key] = (columns, ids[row], statements.get(row), held["errors"].get(row))
    clocks = {name: state[name] for name in ("rules", "watermark", "lanes", "homonyms")}
    assert len(np.unique(held["keys"])) == len(held["keys"])
    return {"calls": calls, "waiting": waiting_of(state["waiting"]), **clocks}
