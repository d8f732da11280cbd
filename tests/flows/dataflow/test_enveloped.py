"""A source or sink in envelopes gets the plain state back that its parts gave, and all else reaches them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.testing import TestingSink
from typing_extensions import override

from flows.dataflow.enveloped import enveloped_sink, enveloped_source
from flows.dataflow.stored_state import Keeping, Loaded, Tracked
from models.state import Envelopes, StateError

ENVELOPES = Envelopes()
AWAKE = datetime(2026, 1, 2, tzinfo=UTC)


class Part(StatefulSourcePartition[Any, Any], StatefulSinkPartition[Any, Any]):
    """Keeps what it was resumed with and what was written, and where it was in `seen`."""

    def __init__(self, state: Any) -> None:
        self.held: dict[str, Any] = {"at": 0, "written": ()} if state is None else state
        self.at: int = self.held["at"]
        self.seen: list[str] = []

    @override
    def next_batch(self) -> list[Any]:
        self.at += 1
        return [self.at]

    @override
    def next_awake(self) -> datetime:
        return AWAKE

    @override
    def write_batch(self, values: list[Any]) -> None:
        self.held = self.held | {"written": (*self.held["written"], *values)}

    @override
    def snapshot(self) -> Any:
        return self.held | {"at": self.at}

    @override
    def close(self) -> None:
        self.seen.append("closed")


class Abandoned(Part):
    def abandon(self) -> None:
        self.seen.append("abandoned")


class Ends(FixedPartitionedSource[Any, Any], FixedPartitionedSink[Any, Any]):
    """A source and a sink in one; keeps its parts."""

    part: ClassVar[type[Part]] = Part

    def __init__(self) -> None:
        self.parts: list[Part] = []

    @override
    def list_parts(self) -> list[str]:
        return ["even", "odd"]

    @override
    def part_fn(self, item_key: str) -> int:
        return len(item_key)

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Any:
        self.parts.append(self.part(resume_state))
        return self.parts[-1]


class Versioned(Ends):
    state_version = 3
    state_migrations: ClassVar[dict[int, Callable[[Any], Any]]] = {
        1: lambda state: {"at": state},
        2: lambda state: state | {"written": ("migrated",)},
    }


def sink_in_envelopes(sink: Any, envelopes: Envelopes) -> Any:
    return enveloped_sink(sink, Keeping(envelopes))


BOTH = pytest.mark.parametrize("wrap", [enveloped_source, sink_in_envelopes])


def refused(wrap: Any, state: bytes, part: str = "even", ends: Ends | None = None) -> str:
    with pytest.raises(StateError) as error:
        wrap(ends or Ends(), ENVELOPES).build_part("flow.lanes", part, state)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("step 'lanes': ")
    return str(error.value)


@BOTH
def test_a_part_gets_the_plain_state_that_it_gave(wrap: Any) -> None:
    ends = Ends()
    first = wrap(ends, ENVELOPES).build_part("flow.lanes", "even", None)
    ends.parts[0].next_batch()
    ends.parts[0].write_batch([("a", b"b")])
    stored = first.snapshot()
    state = Loaded(Keeping(ENVELOPES), "lanes", stored, "even").state(Tracked.merge)
    assert state == {"at": 1, "written": (("a", b"b"),)}
    wrap(ends, ENVELOPES).build_part("flow.lanes", "even", stored)
    assert ends.parts[1].held == ends.parts[0].snapshot()


@BOTH
def test_a_state_of_another_part_is_refused(wrap: Any) -> None:
    stored = wrap(Ends(), ENVELOPES).build_part("flow.lanes", "even", None).snapshot()
    assert "must hold the state of lanes/odd; it holds lanes/even" in refused(wrap, stored, "odd")


@BOTH
def test_a_state_of_another_step_is_refused(wrap: Any) -> None:
    stored = wrap(Ends(), ENVELOPES).build_part("flow.requests", "even", None).snapshot()
    assert "it holds requests/even" in refused(wrap, stored)


@BOTH
def test_a_damaged_state_is_refused(wrap: Any) -> None:
    stored = wrap(Ends(), ENVELOPES).build_part("flow.lanes", "even", None).snapshot()
    for damaged in (b"", stored[:-1], stored[:-1] + b"\x01", b"no envelope"):
        refused(wrap, damaged)


@BOTH
def test_a_state_of_another_secret_is_refused(wrap: Any) -> None:
    stored = wrap(Ends(), Envelopes(b"s" * 32)).build_part("flow.lanes", "even", None).snapshot()
    assert "made with a key" in refused(wrap, stored)


@BOTH
@pytest.mark.parametrize("version", [0, 2, 99])
def test_a_state_of_another_version_is_refused(wrap: Any, version: int) -> None:
    stored = ENVELOPES.pack("lanes", "even", version, {"at": 1, "written": ()})
    assert f"must have version 1; got {version}" in refused(wrap, stored)


@BOTH
def test_the_version_and_the_migrations_of_the_whole_are_used(wrap: Any) -> None:
    ends = Versioned()
    for version, state in ((1, 7), (2, {"at": 7}), (3, {"at": 7, "written": ("migrated",)})):
        part = wrap(ends, ENVELOPES).build_part("flow.lanes", "even", ENVELOPES.pack("lanes", "even", version, state))
        assert ends.parts[-1].held == {"at": 7, "written": ("migrated",)}
        assert ENVELOPES.read(part.snapshot(), "lanes").version == 3
    assert "must have version 3; got 4" in refused(wrap, ENVELOPES.pack("lanes", "even", 4, {}), ends=Versioned())


@BOTH
@pytest.mark.parametrize("made_up", [{}, 7, "text", (), {"at": 1}, {2: 3}], ids=repr)
def test_a_state_that_no_part_gave_is_refused_in_one_sentence(wrap: Any, made_up: Any) -> None:
    """Its checksum is right: it was made up."""

    class Strict(Ends):
        @override
        def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Any:
            return Part({"at": resume_state["at"], "written": resume_state["written"]})

    refused(wrap, ENVELOPES.pack("lanes", "even", 1, made_up), ends=Strict())


@BOTH
def test_a_failing_disk_is_not_a_wrong_state(wrap: Any) -> None:
    class Failing(Ends):
        @override
        def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Any:
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        wrap(Failing(), ENVELOPES).build_part("flow.lanes", "even", None)


def test_what_bytewax_asks_of_a_source_reaches_it() -> None:
    ends = Ends()
    source: Any = enveloped_source(ends, ENVELOPES)
    assert source.list_parts() == ["even", "odd"]
    part = source.build_part("flow.lanes", "even", None)
    assert [*part.next_batch(), *part.next_batch()] == [1, 2]
    assert part.next_awake() == AWAKE
    part.close()
    assert ends.parts[0].seen == ["closed"]


def test_what_bytewax_asks_of_a_sink_reaches_it() -> None:
    ends = Ends()
    sink = sink_in_envelopes(ends, ENVELOPES)
    assert sink.list_parts() == ["even", "odd"]
    assert [sink.part_fn(key) for key in ("a", "four")] == [1, 4]
    part = sink.build_part("flow.out", "odd", None)
    part.write_batch([1, 2])
    assert ends.parts[0].held["written"] == (1, 2)
    part.close()
    assert ends.parts[0].seen == ["closed"]


@pytest.mark.parametrize(("kind", "seen"), [(Part, "closed"), (Abandoned, "abandoned")])
def test_a_sink_part_is_abandoned_or_closed_where_it_cannot_be(kind: type[Part], seen: str) -> None:
    class Whole(Ends):
        part = kind

    ends = Whole()
    sink_in_envelopes(ends, ENVELOPES).build_part("flow.out", "odd", None).abandon()
    assert ends.parts[0].seen == [seen]


def test_a_sink_without_states_stays_as_it_is() -> None:
    sink: TestingSink[Any] = TestingSink([])
    assert sink_in_envelopes(sink, ENVELOPES) is sink
