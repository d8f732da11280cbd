"""The store of texts beside a dictionary: whatever is killed, repeated, merged and erased, each text is kept once."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import DAY_US, HOUR_US
from connectors.texts.buffer import AGED_OUT
from connectors.texts.call_text import CallText
from connectors.texts.frames import key_of
from connectors.texts.store import KEPT, TextSettings, TextStore
from harness.texts import DAY, NOON, call_text, first_text, kept, rest_text, together

WAITS = TextSettings(only_failed=True)
ALL = TextSettings()
CALLS = st.integers(0, 6)
ENDS = [("complete", number) for number in range(7)]
"""Of all calls that are open at the end."""
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 5)),
        st.tuples(st.just("complete"), CALLS),
        st.tuples(st.just("fail"), CALLS),
        st.tuples(st.just("commit"), st.just(0)),
        st.tuples(st.just("kill"), st.booleans()),
        st.tuples(st.just("merge"), st.booleans()),
        st.tuples(st.just("erase"), CALLS),
    ),
    min_size=8,
    max_size=30,
)
_WITHOUT = 5
"""The first record of every fifth call has no texts."""


class Known(NamedTuple):
    """What must be there at a cut; a record of a call is its number, and whether it completes it."""

    number: int
    waiting: dict[tuple[int, bool], CallText]
    kept: dict[tuple[int, bool], CallText]
    failed: set[int]
    completed: set[int]


class Model:
    """A store of dictionaries; `stored` is the oldest cut that a resume may go back to."""

    def __init__(self, *, waits: bool) -> None:
        self.waits, self.cut, self.stored = waits, 0, 0
        self.now = Known(0, {}, {}, set(), set())
        self.at = {0: copy.deepcopy(self.now)}

    def add(self, count: int) -> list[CallText]:
        numbers = range(self.now.number, self.now.number + count)
        self.now = self.now._replace(number=self.now.number + count)
        return self._added({(number, False): first_text(number) for number in numbers if number % _WITHOUT})

    def complete(self, number: int) -> list[CallText]:
        """As the join does: a field is filled once, and only of a call that is held."""
        if number >= self.now.number or number in self.now.completed:
            return []
        self.now.completed.add(number)
        return self._added({(number, True): rest_text(number)})

    def fail(self, number: int) -> tuple[str, int]:
        if number >= self.now.number:
            return "unknown", NOON
        self.now.failed.add(number)
        return call_text(number)[:2]

    def commit(self) -> int:
        moved = [record for record in self.now.waiting if record[0] in self.now.failed]
        for record in moved:
            self.now.kept[record] = self.now.waiting.pop(record)
        self.cut, self.stored = self.cut + 1, self.cut
        self.at[self.cut] = copy.deepcopy(self.now)
        return len(moved)

    def kill(self, *, unstored: bool) -> int:
        self.cut = self.stored = self.stored if unstored else self.cut
        self.now = copy.deepcopy(self.at[self.cut])
        return self.cut

    def erase(self, number: int) -> int:
        """How many calls had texts. The request is repeated until it is stored: an erased text comes back at no cut."""
        had = any((number, again) in known for known in (self.now.waiting, self.now.kept) for again in (False, True))
        for known in (self.now, *self.at.values()):
            for again in (False, True):
                known.waiting.pop((number, again), None)
                known.kept.pop((number, again), None)
            known.failed.discard(number)
            known.completed.add(number)
        return int(had)

    @property
    def shown(self) -> list[CallText]:
        texts = self.at[self.cut].kept
        numbers = {number for number, _ in texts}
        records = ([texts[number, again] for again in (False, True) if (number, again) in texts] for number in numbers)
        return sorted(together(*found) for found in records)

    def _added(self, texts: dict[tuple[int, bool], CallText]) -> list[CallText]:
        (self.now.waiting if self.waits else self.now.kept).update(texts)
        return list(texts.values())


@pytest.mark.slow
@pytest.mark.parametrize("waits", [False, True])
@settings(max_examples=25, deadline=None)
@given(done=steps)
def test_what_is_kept_is_what_a_dictionary_keeps(waits: bool, done: list[tuple[str, int]]) -> None:  # noqa: FBT001
    out, model = Path(mkdtemp()), Model(waits=waits)
    (out / "state").mkdir()
    store = _opened(out, waits=waits, cut=0)
    try:
        for step, argument in [("add", 7), *done, ("commit", 0), *ENDS, ("commit", 0)]:
            if step == "add":
                store.add(model.add(argument))
            elif step == "complete":
                store.add(model.complete(argument))
            elif step == "fail":
                store.fail([model.fail(argument)])
            elif step == "commit":
                moved = model.commit()
                counts = store.commit(model.cut, NOON)
                assert not waits or counts[KEPT] == moved
            elif step == "kill":
                store = _opened(out, waits=waits, cut=model.kill(unstored=bool(argument)))
            elif step == "merge":
                store.merge(model.stored, NOON + DAY_US * argument)
            elif model.now == model.at[model.cut]:  # as the sink does, right after a commit
                assert store.erase([f"call-{argument}"]) == model.erase(argument)
            if step in {"commit", "kill", "merge"}:
                assert kept(out) == model.shown
    finally:
        shutil.rmtree(out)


def _opened(out: Path, *, waits: bool, cut: int) -> TextStore:
    store = TextStore(out, WAITS if waits else ALL)
    store.resume(cut)
    return store


def _store(out: Path, settings: TextSettings, cut: int = 0) -> TextStore:
    (out / "state").mkdir(exist_ok=True)
    store = TextStore(out, settings)
    store.resume(cut)
    return store


def test_a_call_that_failed_and_succeeded_and_failed_again_has_one_text(tmp_path: Path) -> None:
    store = _store(tmp_path, WAITS)
    text = call_text(1)
    store.add([text])
    store.fail([text[:2], text[:2]])
    assert store.commit(1, NOON) == {KEPT: 1}
    store.fail([text[:2]])
    assert store.commit(2, NOON) == {}
    assert kept(tmp_path) == [text]


def test_a_verdict_that_fails_later_than_the_buffer_finds_no_text(tmp_path: Path) -> None:
    store = _store(tmp_path, WAITS)
    text = call_text(1)
    store.add([text])
    store.commit(1, NOON)
    store.commit(2, NOON + 47 * HOUR_US)
    store.add([call_text(2, NOON + 49 * HOUR_US)])
    assert store.commit(3, NOON + 49 * HOUR_US) == {AGED_OUT: 1}
    store.fail([text[:2]])
    assert store.commit(4, NOON + 49 * HOUR_US) == {}
    assert kept(tmp_path) == []


def test_days_go_when_texts_are_older_than_retention_though_none_are_kept_any_more(tmp_path: Path) -> None:
    store = _store(tmp_path, ALL)
    store.add([call_text(1)])
    store.commit(1, NOON)
    later = _store(tmp_path, WAITS, 1)
    later.forget(NOON + 29 * DAY_US)
    assert kept(tmp_path) == [call_text(1)]
    later.forget((DAY + 31) * DAY_US)
    assert not any((tmp_path / "texts").iterdir())


def test_a_buffer_is_deleted_where_no_text_waits_any_more_but_not_by_a_run_that_erases(tmp_path: Path) -> None:
    store = _store(tmp_path, WAITS)
    store.add([call_text(1), call_text(2)])
    store.commit(1, NOON)
    erasing = _store(tmp_path, TextSettings(keep_buffer=True), 1)
    assert erasing.erase(["call-1"]) == 1
    erasing.commit(2, NOON)
    again = _store(tmp_path, WAITS, 2)
    again.fail([call_text(1)[:2], call_text(2)[:2]])
    assert again.commit(3, NOON) == {KEPT: 1}
    _store(tmp_path, ALL, 3)
    assert not (tmp_path / "state" / "texts").exists()
    assert kept(tmp_path) == [call_text(2)]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("over", [False, True])
def test_both_texts_of_a_call_are_one_row_however_files_are_merged(tmp_path: Path, *, waits: bool, over: bool) -> None:
    store, expected = _store(tmp_path, WAITS if waits else ALL), []
    for cut in range(1, 21):
        number = cut // 2
        text = first_text(number) if cut % 2 == 0 else rest_text(number)
        if cut % 2 == 0:
            expected.append(together(first_text(number), rest_text(number)))
            store.fail([text[:2]])
        store.add([text] if cut > 1 else [])
        store.commit(cut, NOON)
        store.merge(cut, NOON + DAY_US * over)
    store.add([rest_text(10)])
    store.commit(21, NOON)
    assert kept(tmp_path) == sorted(expected)
    store.finish(21)
    assert kept(tmp_path) == sorted(expected)
    (file,) = (tmp_path / "texts" / "2024-10-04").iterdir()
    query = f"SELECT count(*), bool_or(completes) FROM '{file}'"
    assert duckdb.connect().execute(query).fetchall() == [(10, False)]


def test_a_call_that_failed_gets_what_completes_it_later_for_as_long_as_texts_wait(tmp_path: Path) -> None:
    store = _store(tmp_path, WAITS)
    store.add([first_text(1), first_text(2), first_text(3)])
    store.fail([first_text(1)[:2], first_text(2)[:2], first_text(5)[:2]])
    store.commit(1, NOON)
    again = _store(tmp_path, WAITS, 1)
    again.add([rest_text(1), rest_text(3), rest_text(5)])
    again.commit(2, NOON + 47 * HOUR_US)
    assert kept(tmp_path) == [together(first_text(1), rest_text(1)), first_text(2), together(rest_text(5))]
    again.commit(3, NOON + 49 * HOUR_US)
    again.add([call_text(6, NOON + 49 * HOUR_US)])
    assert again.commit(4, NOON + 49 * HOUR_US) == {AGED_OUT: 2}
    again.add([rest_text(2)])
    assert again.commit(5, NOON + 49 * HOUR_US) == {}
    assert len(kept(tmp_path)) == 3


def test_a_failure_of_an_epoch_that_was_not_stored_is_forgotten(tmp_path: Path) -> None:
    store = _store(tmp_path, WAITS)
    store.add([first_text(1)])
    store.commit(1, NOON)
    store.fail([rest_text(2)[:2]])
    store.commit(2, NOON)
    again = _store(tmp_path, WAITS, 1)
    again.add([rest_text(1), rest_text(2)])
    assert again.commit(2, NOON) == {}
    assert kept(tmp_path) == []


def test_nothing_of_an_erased_call_that_failed_stays_in_the_buffer(tmp_path: Path) -> None:
    store = _store(tmp_path, WAITS)
    store.add([first_text(1), first_text(2)])
    store.fail([first_text(1)[:2], first_text(2)[:2], ("call-9", NOON)])
    store.commit(1, NOON)
    words = [key_of(call_id).to_bytes(8, "little") for call_id in ("call-1", "call-9", "call-2")]
    (path,) = (tmp_path / "state" / "texts").iterdir()
    assert all(word in path.read_bytes() for word in words)
    assert store.erase(["call-1", "call-9"]) == 1
    assert [word in path.read_bytes() for word in words] == [False, False, True]
    again = _store(tmp_path, WAITS, 1)
    again.add([rest_text(1), rest_text(2)])
    assert again.commit(2, NOON) == {KEPT: 1}
    assert kept(tmp_path) == [together(first_text(2), rest_text(2))]
