"""I2 and I3: at every moment each event is in exactly one place, in every process, through forks, kills and adoptions.

The model keeps lists of ids. It knows nothing of files, threads or locks, only what is emitted, stored, handed over and
answered in which order, and how much there is room for.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from harness.emitter_actor import QUEUE_EVENTS, SPOOL_BYTES, Actor
from harness.emitting import call

KINDS = ["valid", "valid", "valid", "invalid", "skipped", "unripe"]


def size_of(call_id: str, dropped_before: int) -> int:
    event: dict[str, Any] = {"type": "call", **call(call_id)}
    if dropped_before:
        event["attrs"] = {"dropped_before": dropped_before}
    return len(json.dumps(event, separators=(",", ":"))) + len(call_id) + 64


class Pile:
    """A spool: ids with their sizes, in order."""

    made = itertools.count()

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.serial = next(self.made)
        self.rows: dict[str, int] = {}
        self.shut_above: float | None = None

    @property
    def size(self) -> int:
        return sum(self.rows.values())

    def take(self, rows: list[tuple[str, int]]) -> int:
        """How many of these it keeps."""
        if self.shut_above is not None and self.size > self.shut_above:
            return 0
        kept = 0
        for call_id, size in rows:
            if self.size + size > self.limit:
                break
            self.rows[call_id] = size
            kept += 1
        self.shut_above = self.size * 0.95 if kept < len(rows) else None
        return kept


class Modelled:
    """One process: what it should say of itself."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.emitted = self.adopted = self.acknowledged = self.skipped = 0
        self.dropped: Counter[str] = Counter()
        self.unreported = 0
        self.memory: list[tuple[str, str]] = []
        self.aside: list[tuple[str, str]] = []
        """Events that were not ready when it was their turn; the kind of those that are now is `ripe`."""
        self.own: Pile | None = None
        self.others: list[Pile] = []
        self.out: list[str] = []
        self.answers: list[tuple[str, str]] = []
        self.room = 5
        self.prepared = False

    def drop(self, reason: str) -> None:
        self.dropped[reason] += 1
        self.unreported += 1

    @property
    def in_memory(self) -> int:
        return len(self.memory) + len(self.aside)

    def ripen(self) -> None:
        for events in (self.memory, self.aside):
            events[:] = [(call_id, "ripe" if kind == "unripe" else kind) for call_id, kind in events]

    def take_in(self, *, unripe_too: bool = False) -> None:
        left = [] if unripe_too else [event for event in self.aside + self.memory if event[1] == "unripe"]
        for events in (self.aside, self.memory):
            self.store([event for event in events if event not in left])
        self.aside, self.memory = left, []

    def store(self, events: list[tuple[str, str]]) -> None:
        rows: list[tuple[str, int]] = []
        reports: list[int] = []
        for call_id, kind in events:
            if kind == "skipped":
                self.skipped += 1
            elif kind == "invalid":
                self.drop("invalid")
            else:
                rows.append((call_id, size_of(call_id, self.unreported)))
                reports.append(self.unreported)
                self.unreported = 0
        if not rows:
            return
        if self.own is None:
            self.own = Pile(max(0, SPOOL_BYTES - sum(other.size for other in self.others)))
        for report in reports[self.own.take(rows) :]:
            self.unreported += report
            self.drop("spool_full")

    def waiting(self) -> list[str]:
        """What may be handed over, in order."""
        piles = [self.own] if self.own is not None else []
        return [call_id for pile in piles + self.others for call_id in pile.rows if call_id not in self.out]

    def step(self, *, raises: bool) -> None:
        self.take_in()
        if raises and self.waiting():  # it is asked only where there is something to hand over
            self.out, self.answers = [], []
            return
        held = len(self.out) - len(self.answers)
        self.out += self.waiting()[: max(0, self.room - held)]
        answers, self.answers = self.answers, []
        for call_id, how in answers:
            self.out.remove(call_id)
            if how == "failed":
                continue
            for pile in [self.own, *self.others]:
                if pile is not None:
                    pile.rows.pop(call_id, None)
            if how == "acknowledged":
                self.acknowledged += 1
            else:
                self.drop("refused_by_broker")
        self.others = [pile for pile in self.others if pile.rows]


class EveryEventIsSomewhere(RuleBasedStateMachine):
    """Processes over one folder of spools."""

    processes = Bundle("processes")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.living: list[Modelled] = []
        self.orphans: list[Pile] = []
        self.ended: list[Modelled] = []
        self.lost = 0
        self.count = 0

    @rule(target=processes)
    def start(self) -> Any:
        return multiple() if len(self.living) >= 3 else self.began(Actor.start(self.folder))

    def began(self, actor: Actor) -> Modelled:
        self.living.append(Modelled(actor))
        return self.living[-1]

    @rule(target=processes, parent=processes)
    def fork(self, parent: Modelled) -> Any:
        if parent not in self.living or len(self.living) >= 3:
            return multiple()
        child = self.began(parent.actor.fork())
        child.room = parent.room  # a setting; all else begins empty
        return child

    @rule(one=processes, many=st.integers(1, 12), kind=st.sampled_from(KINDS))
    def emit(self, one: Modelled, many: int, kind: str) -> None:
        if one not in self.living:
            return
        ids = [f"c{self.count + place:05d}" for place in range(many)]
        self.count += many
        one.actor.ask("emit", kind, ids)
        one.emitted += many
        for call_id in ids:
            if one.in_memory < QUEUE_EVENTS:
                one.memory.append((call_id, kind))
            else:
                one.drop("queue_full")

    @rule(one=processes)
    def emit_durably(self, one: Modelled) -> None:
        if one not in self.living:
            return
        one.actor.ask("emit", "durable", [f"c{self.count:05d}"])
        one.emitted += 1
        self.prepare(one)
        if one.in_memory >= QUEUE_EVENTS:
            one.drop("queue_full")
        else:
            one.store([(f"c{self.count:05d}", "durable")])
        self.count += 1

    @rule(one=processes)
    def ripen(self, one: Modelled) -> None:
        if one in self.living:
            one.actor.ask("ripen")
            one.ripen()

    def prepare(self, one: Modelled) -> None:
        if not one.prepared and one.in_memory < QUEUE_EVENTS:
            one.prepared = True
            self.adopt_all(one)

    def adopt_all(self, one: Modelled) -> None:
        one.others += sorted(self.orphans, key=lambda pile: pile.serial)
        one.adopted += sum(len(pile.rows) for pile in self.orphans)
        self.orphans = []

    @rule(one=processes, raises=st.sampled_from([False, False, False, True]))
    def step(self, one: Modelled, *, raises: bool) -> None:
        if one not in self.living:
            return
        one.actor.ask("raise" if raises else "step")
        if not one.prepared:
            one.prepared = True
            self.adopt_all(one)
        one.step(raises=raises)

    @rule(
        one=processes,
        many=st.integers(1, 6),
        how=st.sampled_from(["acknowledged", "acknowledged", "refused", "failed"]),
    )
    def answer(self, one: Modelled, many: int, how: str) -> None:
        if one not in self.living:
            return
        answered = one.actor.ask("answer", many, how)
        asked = [call_id for call_id in one.out if call_id not in dict(one.answers)]
        assert answered == asked[:many]
        one.answers += [(call_id, how) for call_id in answered]

    @rule(one=processes, room=st.integers(0, 8))
    def room(self, one: Modelled, room: int) -> None:
        if one in self.living:
            one.actor.ask("room", room)
            one.room = room

    @rule(one=processes)
    def adopt(self, one: Modelled) -> None:
        if one in self.living and one.prepared:
            one.actor.ask("adopt")
            self.adopt_all(one)

    @rule(one=processes)
    def flush(self, one: Modelled) -> None:
        if one in self.living:
            nothing_left = not one.in_memory and (one.own is None or not one.own.rows)
            assert one.actor.ask("flush") == nothing_left

    @rule(one=consumes(processes))
    def kill(self, one: Modelled) -> None:
        if one in self.living:
            one.actor.end(kill=True)
            self.lost += one.in_memory
            self.leave(one)

    @rule(one=consumes(processes))
    def close(self, one: Modelled) -> None:
        if one in self.living:
            if not one.prepared:
                one.prepared = True
                self.adopt_all(one)
            one.actor.end(kill=False)
            one.take_in(unripe_too=True)
            self.leave(one)

    def leave(self, one: Modelled) -> None:
        self.living.remove(one)
        self.ended.append(one)
        piles = [*([one.own] if one.own is not None else []), *one.others]
        self.orphans += [pile for pile in piles if pile.rows]

    @invariant()
    def all_processes_agree_with_the_model(self) -> None:
        for one in self.living:
            seen = one.actor.ask("look")
            assert seen["balanced"]
            out, rows = len(one.out), sum(len(pile.rows) for pile in [one.own, *one.others] if pile is not None)
            assert (seen["queue"], seen["rows"], seen["out"]) == (one.in_memory, rows, out)
            stats = seen["stats"]
            del stats["memory_bytes"]
            assert stats == {
                "emitted": one.emitted,
                "adopted": one.adopted,
                "acknowledged": one.acknowledged,
                "in_memory": one.in_memory,
                "in_spool": rows - out,
                "handed_over": out,
                "skipped": one.skipped,
                "dropped": {reason: count for reason, count in one.dropped.items() if count},
            }

    def teardown(self) -> None:
        """All sums agree once everything that was left has been sent."""
        try:
            for one in self.living.copy():
                self.close(one)
            self.last_one_sends_everything()
        finally:
            for one in self.living:
                one.actor.end(kill=True)
            shutil.rmtree(self.folder)

    def last_one_sends_everything(self) -> None:
        last = self.began(Actor.start(self.folder))
        self.room(last, 10**6)
        for _ in range(3):
            self.step(last, raises=False)
            self.answer(last, 10**6, "acknowledged")
        self.all_processes_agree_with_the_model()
        assert not last.waiting()
        everyone = [*self.ended, last]
        emitted = sum(one.emitted for one in everyone)
        ended_well = sum(one.acknowledged + one.skipped + sum(one.dropped.values()) for one in everyone)
        assert emitted == ended_well + self.lost
        self.close(last)
        assert not list(self.folder.rglob("*.spool"))


@pytest.mark.slow
def test_every_event_is_somewhere() -> None:
    """By hand, 150 examples of 50 steps: two minutes."""
    run_state_machine_as_test(EveryEventIsSomewhere, settings=settings(max_examples=15, stateful_step_count=30))
