from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.columns.keyed_sums import KeyedSums, Sums, pack_key, unpack_key

TURNS = st.lists(
    st.tuples(st.lists(st.tuples(st.integers(0, 150), st.integers(-9, 9)), max_size=90), st.integers(2, 6))
)


@given(TURNS)
def test_sums_are_those_of_a_dict_whatever_is_popped(turns: list[tuple[list[tuple[int, int]], int]]) -> None:
    """In each turn some are added, and then the keys that a number divides are popped; a stored one goes on alike."""
    table, sums = KeyedSums((np.int32, np.int64)), Counter[int]()
    for entries, divisor in turns:
        keys = np.array([key for key, _ in entries], np.uint64)
        values = np.array([value for _, value in entries], np.int64)
        table.add(keys, values, 2 * values)
        for key, value in entries:
            sums[key] += value
        divisible = table.sums().keys % np.uint64(divisor) == 0
        popped = table.pop(divisible)
        assert dict(zip(popped.keys.tolist(), popped.columns[0].tolist(), strict=True)) == {
            key: value for key, value in sums.items() if key % divisor == 0
        }
        sums = Counter({key: value for key, value in sums.items() if key % divisor})
        rest = table.sums()
        assert dict(zip(rest.keys.tolist(), rest.columns[0].tolist(), strict=True)) == sums
        assert (rest.columns[1] == 2 * rest.columns[0].astype(np.int64)).all()
        assert len(table) == len(sums)
        table = KeyedSums(table.dtypes, Sums(rest.keys, rest.columns))


def test_keys_sort_like_what_they_are_made_of() -> None:
    group, window, low = np.array([0, 0, 0, 1]), np.array([-5, 0, 0, -9]), np.array([3, 0, 7, 1])
    keys = pack_key(group, window, low, 3)
    assert (np.diff(keys.astype(np.int64)) > 0).all()
    assert [part.tolist() for part in unpack_key(keys, 3)] == [group.tolist(), window.tolist(), low.tolist()]
