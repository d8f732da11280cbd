from __future__ import annotations

import pickle
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.arrays import F64, I32
from models.columns.row_pool import RowPool
from models.columns.struct_of_arrays import StructOfArrays


class Pair(NamedTuple):
    number: I32
    points: F64
    """Shape (n, 2)."""


NOTHING = Pair(np.zeros(0, np.int32), np.zeros((0, 2)))
OPERATIONS = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 80)),
    st.tuples(st.just("fill"), st.integers(1, 5)),
    st.tuples(st.just("keep"), st.integers(2, 5)),
)


@given(st.lists(OPERATIONS, max_size=12))
def test_rows_are_those_of_a_list_of_rows(operations: list[tuple[str, int]]) -> None:
    table, rows = StructOfArrays(NOTHING), list[tuple[int, tuple[float, float]]]()
    for turn, (operation, number) in enumerate(operations):
        if operation == "append":
            table.append(number, Pair(np.array(turn), np.array([0.5, -turn])))
            rows += [(turn, (0.5, -turn))] * number
        elif operation == "fill":
            table.fill(np.arange(0, len(rows), number), Pair(np.array(-turn), np.array(7.0)))
            rows[::number] = [(-turn, (7.0, 7.0))] * len(rows[::number])
        else:
            table.keep(np.arange(len(rows)) % number != 0)
            rows = [row for at, row in enumerate(rows) if at % number]
        assert len(table) == len(rows)
        assert table.columns.number.tolist() == [number for number, _ in rows]
        assert table.columns.points.tolist() == [list(points) for _, points in rows]


def test_what_is_stored_holds_no_spare_room() -> None:
    table = StructOfArrays(NOTHING)
    table.append(1000, Pair(np.array(1), np.zeros(2)))
    table.append(1, Pair(np.array(2), np.ones(2)))
    assert len(pickle.dumps(table.columns.points, protocol=5)) < 1001 * 16 + 200


def test_rows_that_come_one_by_one_are_seldom_copied() -> None:
    table, moves = StructOfArrays(NOTHING), 0
    for number in range(10_000):
        before = table.columns.number
        table.append(1, Pair(np.array(number), np.zeros(2)))
        moves += not np.shares_memory(before, table.columns.number)
    assert table.columns.number.tolist() == list(range(10_000))
    assert moves < 20


def test_columns_given_at_the_start_are_neither_copied_nor_lost() -> None:
    given_columns = Pair(np.arange(3, dtype=np.int32), np.ones((3, 2)))
    table = StructOfArrays(given_columns)
    table.columns.number[1] = 9
    assert given_columns.number.tolist() == [0, 9, 2]
    table.append(1, Pair(np.array(4), np.zeros(2)))
    assert table.columns.number.tolist() == [0, 9, 2, 4]
    assert table.columns.number.dtype == np.int32


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), max_size=20))
def test_a_pool_hands_out_no_row_twice(turns: list[tuple[int, int]]) -> None:
    """In each turn so many rows are taken and set, and then so many given back."""
    pool, taken = RowPool(Pair(np.zeros(1, np.int32), np.zeros((1, 2)))), list[int]()
    most = 1
    for count, back in turns:
        rows = pool.take_rows(count)
        assert len(set(rows.tolist())) == count
        assert not set(rows.tolist()) & set(taken)
        taken += rows.tolist()
        most = max(most, len(taken))
        assert max(taken, default=0) < most
        pool.give_back(np.array(taken[:back], np.int32))
        del taken[:back]
    assert pool.copied(np.array(taken, np.int32)).points.shape == (len(taken), 2)


def test_fresh_rows_of_a_pool_are_blank_whatever_its_first_row_was_set_to() -> None:
    pool = RowPool(Pair(np.full(1, 5, np.int32), np.zeros((1, 2))))
    pool.put(pool.take_rows(1), Pair(np.array([9], np.int32), np.ones((1, 2))))
    assert pool.copied(pool.take_rows(3)).number.tolist() == [5, 5, 5]


def test_a_pool_is_restored_row_by_row() -> None:
    pool = RowPool(Pair(np.zeros(1, np.int32), np.zeros((1, 2))))
    pool.put(pool.take_rows(70), Pair(np.arange(70, dtype=np.int32), np.ones((70, 2))))
    assert pool.copied(np.array([69, 0, 33], np.int32)).number.tolist() == [69, 0, 33]
    assert pool.take_rows(2).tolist() == [70, 71]
