"""Texts come back as they were, also after the arena was rewritten."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.columns.names import Names
from models.columns.text_column import TextColumn


@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.text(max_size=40)), st.booleans()), max_size=60))
def test_a_column_is_a_dictionary(steps: list[tuple[int, str | None, bool]]) -> None:
    column, known = TextColumn(), dict[int, str | None]()
    column.resize(10)
    for row, text, rewrite in steps:
        column.drop(row)
        column.put(row, text)
        known[row] = text
        if rewrite:
            column._compact()
        rows = np.arange(10, dtype=np.int32)[::-1].copy()
        again = TextColumn()
        again.resize(10)
        again.put_state(rows, column.state_of(rows))
        assert [one.get(i) for one in (column, again) for i in range(10)] == [known.get(i) for i in range(10)] * 2


def test_garbage_does_not_stay() -> None:
    column = TextColumn()
    column.resize(2)
    column.put(0, "stays")
    for _ in range(1_000):
        column.put(1, "x" * 1_000)
        column.drop(1)
    assert len(column._arena) < 200_000
    assert column.get(0) == "stays"


def test_names_that_are_used_no_longer_are_forgotten_once_they_are_the_majority() -> None:
    names = Names[str]()
    codes = np.array([names.code(f"n{i}") for i in range(3_000)], np.int32)
    kept = names.compacted(codes[::10])
    assert len(names) == 300
    assert [names.names[code] for code in kept.tolist()] == [f"n{i}" for i in range(0, 3_000, 10)]
    assert names.code("n10") == 1
    assert names.compacted(kept[:5]).tolist() == kept[:5].tolist(), "few names are not worth it"
