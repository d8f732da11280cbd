"""The hash index equals a dict, and ids come back as they were."""

from __future__ import annotations

from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.columns.hash_index import HashIndex
from models.columns.id_column import IdColumn

KEYS = st.one_of(st.integers(0, 40), st.sampled_from([2**64 - 1, 2**63, 2**63 - 1]))


@given(st.lists(st.lists(st.tuples(KEYS, st.booleans()), max_size=60), max_size=8))
def test_the_index_equals_a_dict_under_inserts_and_removals(batches: list[list[tuple[int, bool]]]) -> None:
    """Keys that crowd one place, removed and inserted again, in batches of any size."""
    index, known, free = HashIndex(), dict[int, int](), list(range(1000))[::-1]
    for batch in batches:
        wanted = dict(batch)
        gone = [key for key, insert in wanted.items() if not insert and key in known]
        index.remove(np.array(gone, np.uint64))
        for key in gone:
            free.append(known.pop(key))
        fresh = [key for key, insert in wanted.items() if insert and key not in known]
        rows = [free.pop() for _ in fresh]
        index.insert(np.array(fresh, np.uint64), np.array(rows, np.int32))
        known |= dict(zip(fresh, rows, strict=True))
        asked = [*range(41), 2**64 - 1, 2**63, 2**63 - 1]
        assert index.find(np.array(asked, np.uint64)).tolist() == [known.get(key, -1) for key in asked]
        assert len(index) == len(known)
        assert sorted(index.rows().tolist()) == sorted(known.values())


IDS = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda u: u.hex),
    st.uuids().map(lambda u: str(u).upper()),
    st.text(min_size=1, max_size=40),
    st.just("x" * 36),
    st.just("é" * 36),
)


@given(st.lists(IDS, max_size=30), st.lists(st.integers(0, 29), max_size=10))
def test_ids_come_back_as_they_were(ids: list[str], dropped: list[int]) -> None:
    """UUIDs, hex, capitals, any text; also after others were dropped, and after a snapshot."""
    column = IdColumn()
    column.resize(64)
    rows = np.arange(len(ids), dtype=np.int32)
    column.put(rows, ids)
    gone = sorted({i for i in dropped if i < len(ids)})
    column.drop(np.array(gone, np.int32))
    kept = [i for i in range(len(ids)) if i not in gone]
    assert [column.get(i) for i in kept] == [ids[i] for i in kept]
    again = IdColumn()
    again.resize(64)
    again.put_state(np.arange(len(kept), dtype=np.int32), column.state_of(np.array(kept, np.int32)))
    assert [again.get(i) for i in range(len(kept))] == [ids[i] for i in kept]


GIVEN = st.one_of(st.tuples(st.uuids().map(str), st.booleans()), st.tuples(IDS, st.just(False)))


@given(st.lists(GIVEN, max_size=30))
def test_ids_given_as_words_come_back_as_text(ids: list[tuple[str, bool]]) -> None:
    """Where there are no words, the text is asked for; the words of the UUID of zeros are none."""
    column = IdColumn()
    column.resize(64)
    packed = [UUID(text).int if given else 0 for text, given in ids]
    words = np.array([divmod(number, 2**64) for number in packed], np.uint64).reshape(len(ids), 2)
    column.put_words(np.arange(len(ids), dtype=np.int32), words, lambda i: ids[i][0])
    assert column.texts(np.arange(len(ids), dtype=np.int32)) == [one for one, _ in ids]


def test_the_arena_of_other_ids_does_not_grow_without_end() -> None:
    """Dropped ids are swept out once they are half of it."""
    column = IdColumn()
    column.resize(2)
    rows = np.array([0], np.int32)
    column.put(np.array([1], np.int32), ["the one that stays"])
    for i in range(20_000):
        column.put(rows, [f"call number {i}"])
        column.drop(rows)
    assert len(column._arena) < 200_000
    assert column.get(1) == "the one that stays"
