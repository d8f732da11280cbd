"""An erased call leaves nothing that identifies it, the sums hold, and others are judged as if it had stayed."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from flows.dataflow.shards import SHARDS, split
from models import plain
from models.groups import Caps, Groups
from models.join import Join, erase
from models.join.identity import key_of
from models.messages import Erasure
from oracle.direct import Direct, decoder_of, join_rules
from oracle.histories import CALL_IDS, History, histories
from oracle.order import File, Read, watermarks
from oracle.records import Rules

DAY_US = 86_400_000_000


def stored(state: Any) -> Any:
    """What is read after a state was packed."""
    return plain.unpack(plain.pack(state))


class Erasing(Direct):
    """The join and the group step, from which calls are erased between two batches."""

    def erase(self, call_ids: Collection[str]) -> dict[str, tuple[int, int]]:
        """Erase; returns how many calls and early outcomes each shard held of them."""
        held = {}
        for shard, join in self.joins.items():
            mine = [(key, name) for name in call_ids if SHARDS[(key := xxh3_64_intdigest(name.encode())) % 12] == shard]
            if not mine:
                continue
            joined = erase(join, Erasure("r", shard, tuple(mine)))
            self._take(joined)
            assert joined.erased is not None
            assert set(joined.erased.call_ids) == {name for _, name in mine}
            assert all((r.call_id, r.raw) == ("", None) for r in joined.refused)
            held[shard] = joined.erased[2:]
        return held

    def resume(self) -> None:
        """As after a crash at an epoch's end."""
        self.joins = {s: Join.from_state(stored(join.state()), self.rules) for s, join in self.joins.items()}
        self.groups = Groups.from_state(stored(self.groups.state()), len(SHARDS), Caps(1000, 1000, 1000))

    def state(self) -> bytes:
        """All that is stored, packed."""
        return b"".join(plain.pack(join.state()) for join in self.joins.values()) + plain.pack(self.groups.state())

    def sums_hold(self) -> bool:
        """Both sums of docs/reference.md, section 4, and that of the cells."""
        t = self.tally
        decided = t["successes"] + t["failures"] + t["expired"]
        cells = sum(n for key, n in self.cells.items() if key[2] in {"successes", "failures", "expired"})
        return (
            t["records"]
            == t["calls"] + t["completed"] + t["outcomes"] + t["duplicates"] + t["waiting"] + t["dead_letters"]
            and min(t.values(), default=0) >= 0
            and t["calls"] + t["attempts"] >= decided == cells
        )


@pytest.mark.slow
@settings(max_examples=40)
@given(
    histories(),
    st.integers(0, 60),
    st.sets(st.sampled_from(CALL_IDS), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_others_are_judged_as_if_nothing_had_been_erased_and_the_sums_hold(
    history: History,
    cut: int,
    gone: set[str],
    resumed: bool,  # noqa: FBT001 - drawn by Hypothesis
    twice: bool,  # noqa: FBT001
) -> None:
    """Wherever in a history, whatever state the calls are in, also where the pipeline stops right after it."""
    plain = Direct(join_rules(history.rules))
    plain.run(history, [], [])
    erasing = Erasing(join_rules(history.rules))
    order = history.order()
    where = min(cut, len(order))
    _run(erasing, history, order, 0, where)
    erasing.erase(gone)
    assert erasing.sums_hold(), erasing.tally
    _forgotten(erasing, gone)
    if twice:
        before = (dict(erasing.tally), dict(erasing.dead), dict(erasing.cells))
        assert set(erasing.erase(gone).values()) == {(0, 0)}
        assert (dict(erasing.tally), dict(erasing.dead), dict(erasing.cells)) == before
    if resumed:
        erasing.resume()
    erasing.calls = {key: row for key, row in erasing.calls.items() if key[0] not in gone}
    _run(erasing, history, order, where, len(order))
    assert erasing.sums_hold(), erasing.tally
    for name in ("calls", "verdicts", "statements"):
        kept = {key: row for key, row in getattr(erasing, name).items() if key[0] not in gone}
        assert kept == {key: row for key, row in getattr(plain, name).items() if key[0] not in gone}
    assert _but(erasing.newest, gone) == _but(plain.newest, gone)


def _run(direct: Direct, history: History, order: list[Read], start: int, end: int) -> None:
    """A part of a history as one batch, with the watermarks of the whole."""
    before, last = watermarks(order, len(history.files))
    reads = order[start:end]
    batch = decoder_of(history.rules).decode(
        [history.files[r.file].lines[r.line - 1] for r in reads],
        np.array([history.files[r.file].kind == "outcomes" for r in reads], np.uint8),
        np.array([r.file for r in reads], np.int32),
        np.array([r.line for r in reads], np.int64),
        [f"file-{i}" for i in range(len(history.files))],
    )
    wm = np.array(before[start:end], np.int64)
    batch.calls = batch.calls._replace(wm=wm[batch.calls.pos])
    batch.outcomes = batch.outcomes._replace(wm=wm[batch.outcomes.pos])
    batch.low = before[end] if end < len(order) else last
    direct.tally["records"] += batch.records
    for shard, arrivals in split(batch):
        direct._take(direct.joins[shard].process(arrivals))


def _but(rows: dict[str, dict[str, object]], gone: set[str]) -> dict[str, dict[str, object]]:
    return {name: row for name, row in rows.items() if name not in gone}


def _forgotten(erasing: Erasing, gone: set[str]) -> None:
    for name in gone:
        hash_ = xxh3_64_intdigest(name.encode())
        join = erasing.joins[SHARDS[hash_ % 12]]
        key = key_of(join.shard, join.early, name, hash_)
        if key is not None:  # else the call that is there has another id of the same hash
            assert join.shard.held.index.find(np.array([key], np.uint64)).tolist() == [-1]
            assert not join.early.pop(key)


RULES = Rules(horizon_us=30 * DAY_US, allowed_lateness_us=0, orphan_wait_us=DAY_US)
GONE = {
    "pending, a UUID": "01957b3e-5c00-7000-8000-0123456789ab",
    "pending, hexadecimal": "01957b3e5c00700080000123456789ac",
    "pending, a text": "gone-pending",
    "decided": "gone-decided",
    "a case": "gone-case",
    "failed": "gone-failed",
    "taken back": "gone-taken-back",
    "waited for": "gone-waited-for",
    "unknown": "gone-unknown",
}


def _filled() -> Erasing:
    """One call of each kind that is to go, and as many like them that stay."""
    calls, outcomes = [], []
    for kind, gone in GONE.items():
        for name, mark in ((gone, "secret"), (gone.replace("gone", "stay").replace("3456789a", "00000000"), "open")):
            if kind not in {"waited for", "unknown"}:
                calls.append(_call(name, **({"error": f"{mark} error"} if kind == "failed" else {})))
            if kind in {"decided", "a case", "taken back", "waited for"}:
                outcomes.append(_outcome(name, f"{mark}-o1", f"{mark}-reason", success=kind != "taken back"))
            if kind == "a case":
                outcomes.append(_outcome(name, f"{mark}-o2", f"{mark}-reason", success=False))
            if kind == "taken back":
                outcomes.append(_outcome(name, f"{mark}-o2", f"{mark}-why", action="retract", retracts=f"{mark}-o1"))
    erasing = Erasing(join_rules(RULES))
    history = History(RULES, (File("calls", tuple(calls)), File("outcomes", tuple(outcomes))))
    order = history.order()
    _run(erasing, history, order, 0, len(order))
    return erasing


def test_nothing_that_names_an_erased_call_is_in_the_state() -> None:
    """Neither its id in any form, nor ids, reasons and errors of its statements, nor a hash of its id."""
    erasing = _filled()
    marks = [b"gone-", b"secret", *(form for name in GONE.values() for form in _forms(name))]
    assert sum(mark in erasing.state() for mark in marks) > 8
    held = erasing.erase(GONE.values())
    assert tuple(map(sum, zip(*held.values(), strict=True))) == (7, 1)
    assert [mark for mark in marks if mark in erasing.state()] == []
    erasing.resume()
    assert sum(map(len, (join.shard.held for join in erasing.joins.values()))) == 7


def test_what_is_pending_expires_what_is_decided_stays_counted_and_what_waits_becomes_a_dead_letter() -> None:
    """So that rates and sums do not lie."""
    erasing = _filled()
    before = erasing.tally.copy()
    erasing.erase(GONE.values())
    assert {name: n - before[name] for name, n in erasing.tally.items() if n != before[name]} == {
        "expired": 4,
        "waiting": -1,
        "dead_letters": 1,
    }
    assert erasing.dead["erased", ""] == 1
    assert erasing.sums_hold()


def _call(name: str, **more: str) -> bytes:
    call = {"call_id": name, "occurred_at": "2026-01-01T01:00:00Z", "task_type": "t", "model": "m", "latency_ms": 5.0}
    return json.dumps(call | more).encode()


def _outcome(name: str, outcome_id: str, reason: str, **more: object) -> bytes:
    outcome = {"outcome_id": outcome_id, "call_id": name, "occurred_at": "2026-01-01T01:01:00Z", "source": "s"}
    return json.dumps(outcome | {"reason": reason} | more).encode()


def _forms(name: str) -> list[bytes]:
    """The id as text, as the bytes of a UUID in either order, and its hash."""
    forms = [name.encode(), xxh3_64_intdigest(name.encode()).to_bytes(8, "little")]
    bare = name.replace("-", "")
    if len(bare) == 32 and set(bare) <= set("0123456789abcdef"):
        # The columns of high and low words lie apart.
        forms += [bytes.fromhex(bare)[half : half + 8][::-1] for half in (0, 8)][1:]
    return forms
