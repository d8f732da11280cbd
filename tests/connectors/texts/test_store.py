"""The store of texts beside a dictionary: whatever is killed, repeated, merged and erased, each text is kept once."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import DAY_US, HOUR_US
from connectors.texts.buffer import AGED_OUT
from connectors.texts.call_text import CallText
from connectors.texts.store import KEPT, TextSettings, TextStore
from harness.texts import DAY, NOON, call_text, kept

WAITS = TextSettings(only_failed=True)
ALL = TextSettings()
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 5)),
        st.tuples(st.just("fail"), st.integers(0, 40)),
        st.tuples(st.just("commit"), st.just(0)),
        st.tuples(st.just("kill"), st.booleans()),
        st.tuples(st.just("merge"), st.booleans()),
        st.tuples(st.just("erase"), st.integers(0, 40)),
    ),
    max_size=30,
)


class Known(NamedTuple):
    """What must be there at a cut."""

    number: int
    waiting: dict[int, CallText]
    kept: dict[int, CallText]


class Model:
    """A store of dictionaries; `stored` is the oldest cut that a resume may go back to."""

    def __init__(self, *, waits: bool) -> None:
        self.waits, self.cut, self.stored = waits, 0, 0
        self.now = Known(0, {}, {})
        self.failed: set[int] = set()
        self.at = {0: copy.deepcopy(self.now)}

    def add(self, count: int) -> list[CallText]:
        texts = [call_text(self.now.number + i) for i in range(count)]
        into = self.now.waiting if self.waits else self.now.kept
        into.update({self.now.number + i: text for i, text in enumerate(texts)})
        self.now = self.now._replace(number=self.now.number + count)
        return texts

    def commit(self) -> int:
        moved = [number for number in self.failed if number in self.now.waiting]
        for number in moved:
            self.now.kept[number] = self.now.waiting.pop(number)
        self.failed, self.cut, self.stored = set(), self.cut + 1, self.cut
        self.at[self.cut] = copy.deepcopy(self.now)
        return len(moved)

    def kill(self, *, unstored: bool) -> int:
        self.cut = self.stored = self.stored if unstored else self.cut
        self.now, self.failed = copy.deepcopy(self.at[self.cut]), set()
        return self.cut

    def erase(self, number: int) -> None:
        """A request is carried out again until it is stored, so an erased text comes back at no cut."""
        for known in (self.now, *self.at.values()):
            known.waiting.pop(number, None)
            known.kept.pop(number, None)

    @property
    def shown(self) -> list[CallText]:
        return sorted(self.at[self.cut].kept.values())


@pytest.mark.slow
@pytest.mark.parametrize("waits", [False, True])
@settings(max_examples=25, deadline=None)
@given(done=steps)
def test_what_is_kept_is_what_a_dictionary_keeps(waits: bool, done: list[tuple[str, int]]) -> None:  # noqa: FBT001
    out, model = Path(mkdtemp()), Model(waits=waits)
    (out / "state").mkdir()
    store = _opened(out, waits=waits, cut=0)
    try:
        for step, argument in [*done, ("commit", 0)]:
            if step == "add":
                store.add(model.add(argument))
            elif step == "fail":
                store.fail([call_text(argument)[:2]])
                model.failed.add(argument)
            elif step == "commit":
                moved = model.commit()
                counts = store.commit(model.cut, NOON)
                assert not waits or counts[KEPT] == moved
            elif step == "kill":
                store = _opened(out, waits=waits, cut=model.kill(unstored=bool(argument)))
            elif step == "merge":
                store.merge(model.stored, NOON + DAY_US * argument)
            elif not model.failed and model.now == model.at[model.cut]:  # as the sink does, right after a commit
                store.erase([f"call-{argument}"])
                model.erase(argument)
            if step in {"commit", "kill"}:
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
