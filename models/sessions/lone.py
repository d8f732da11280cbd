"""Keeps as columns the outcomes that are the only record of their id, have scope `last`, and go to one call.

They take some 150 bytes each. All others, and all of their session with them, lie packed (`talk.py`); a session has
outcomes of one kind or of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from models.arrays import F64, I8, I32, I64, U64, Bools
from models.columns.hash_index import HashIndex
from models.columns.id_column import IdColumn
from models.columns.id_pool import IdPool
from models.columns.names import Names
from models.sessions.tables import LAST
from models.sessions.talk import SaidId, SaidIn, Utterance
from models.sessions.words import words_of

_ODD: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))


class LoneTexts(NamedTuple):
    """What few outcomes have."""

    author: str | None
    reason: str | None
    scorer: str | None


NO_TEXTS: Final = LoneTexts(None, None, None)


class LoneRows(NamedTuple):
    """Names and types are those of the stored state, but for `session`, `next` and `turn`.

    `key`: see `keys_of`. `given`: 0, 1, -1 where absent; `score` nan where absent. `revises`: that of its
    source when it came. `waits`: whether it has reached no call. `hash`: SHA-256 of the record, shape (n, 4). `next`:
    the one of its session that came before it, or LAST. `turn` ascends in the order of arrival.
    """

    key: U64
    session: I32
    at: I64
    source: I32
    given: I8
    score: F64
    revises: Bools
    waits: Bools
    partition: I32
    offset: I64
    size: I32
    hash: U64
    next: I32
    turn: I64


class LoneTable(IdPool[LoneRows]):
    """One row per outcome; `ids` are those of the outcomes, `calls` those of the calls they have reached."""

    UNSTORED = frozenset({"session", "next", "turn"})

    def __init__(self) -> None:
        self.calls = IdColumn()
        super().__init__(
            LoneRows(
                key=np.zeros(1, np.uint64),
                session=np.zeros(1, np.int32),
                at=np.zeros(1, np.int64),
                source=np.zeros(1, np.int32),
                given=np.zeros(1, np.int8),
                score=np.zeros(1),
                revises=np.zeros(1, np.bool_),
                waits=np.zeros(1, np.bool_),
                partition=np.zeros(1, np.int32),
                offset=np.zeros(1, np.int64),
                size=np.zeros(1, np.int32),
                hash=np.zeros((1, 4), np.uint64),
                next=np.full(1, LAST, np.int32),
                turn=np.zeros(1, np.int64),
            )
        )

    def give_back(self, rows: I32) -> None:
        """Free rows that are used no longer."""
        self.calls.drop(rows)
        super().give_back(rows)

    def _bind(self, columns: LoneRows) -> None:
        super()._bind(columns)
        self.calls.resize(len(columns[0]))
        self.columns = columns


class NewLone(NamedTuple):
    """Outcomes that wait, in the order of arrival, each id of a session once.

    `source` and `partition` are codes of `LoneOutcomes`; `texts` has those that have some, by place.
    """

    key: U64
    session: I32
    at: I64
    source: I32
    given: I8
    score: F64
    revises: Bools
    partition: I32
    offset: I64
    size: I32
    hash: U64
    uuid: U64
    ids: Sequence[str]
    texts: dict[int, LoneTexts]


class LoneOutcomes:
    """Those of one shard.

    Attributes:
        table: a row per outcome.
        texts: by row, of those that have some.
        sources: by code.
        partitions: by code.
    """

    def __init__(self, seed: int) -> None:
        """`seed`: of the index."""
        self.table = LoneTable()
        self.texts: dict[int, LoneTexts] = {}
        self.sources, self.partitions = Names[str](), Names[str]()
        self._index = HashIndex(seed=seed)
        self._waiting: I32 = np.zeros(0, np.int32)
        """Those that wait, in the order of arrival, and some that do so no longer."""
        self._first = 2**63 - 1
        """No time of one that waits is less."""
        self._turn = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._index)

    @property
    def first(self) -> int:
        """A bound that the times of those that wait are not below."""
        return self._first

    def known(self, keys: U64) -> Bools:
        """Which keys are taken."""
        taken: Bools = self._index.find(keys) >= 0
        return taken

    def rows_of_keys(self, keys: U64) -> I32:
        """The rows of outcomes with these keys, -1 where there is none."""
        return self._index.find(keys)

    def add(self, new: NewLone, heads: I32) -> I32:
        """Add outcomes whose keys are free; their rows. `heads`: by row of a session, its newest one. O(n)."""
        rows = self.table.take_rows(len(new.key))
        turn = self._turn + np.arange(len(rows))
        self._turn += len(rows)
        self._put(rows, new, turn)
        self.link(rows, heads)
        self._waiting = np.concatenate((self._still_waiting(), rows))
        self._first = min(self._first, int(new.at.min(initial=2**63 - 1)))
        return rows

    def _put(self, rows: I32, new: NewLone, turn: I64) -> None:
        waits, following = np.ones(len(rows), np.bool_), np.full(len(rows), LAST, np.int32)
        said = new.source, new.given, new.score, new.revises, waits, new.partition, new.offset, new.size, new.hash
        self.table.put(rows, LoneRows(new.key, new.session, new.at, *said, following, turn))
        self.table.ids.put_words(rows, new.uuid, new.ids.__getitem__)
        for place, texts in new.texts.items():
            self.texts[rows.item(place)] = texts
        self._index.insert(new.key, rows)

    def link(self, rows: I32, heads: I32) -> None:
        """Put outcomes, which are in no chain and in the order of arrival, before the others of their sessions."""
        if not len(rows):
            return
        columns = self.table.columns
        rows = rows[np.argsort(columns.session[rows], kind="stable")]
        session = columns.session[rows]
        begins = np.concatenate(([True], session[1:] != session[:-1]))
        ends = np.concatenate((begins[1:], [True]))
        columns.next[rows[1:]] = rows[:-1]
        columns.next[rows[begins]] = heads[session[begins]]
        heads[session[ends]] = rows[ends]

    def chain(self, head: int) -> list[int]:
        """The rows of a session in the order of arrival; `head` is its newest one."""
        rows, following = list[int](), self.table.columns.next
        while head != LAST:
            rows.append(head)
            head = following.item(head)
        return rows[::-1]

    def oldest(self, head: int, count: int, since: int) -> I32 | None:
        """The oldest outcomes of a session, ties by id; None unless none waits, and all are from before `since`.

        O(n log n) for n outcomes of the session; `head` is its newest one.
        """
        rows = np.array(self.chain(head), np.int32)
        at, ids = self.table.columns.at[rows].tolist(), self.table.ids.texts(rows)
        order = [place for _, _, place in sorted(zip(at, ids, range(len(rows)), strict=True))[:count]]
        oldest = rows[order]
        if len(oldest) < count or at[order[-1]] >= since or self.table.columns.waits[oldest].any():
            return None
        return oldest

    def forget(self, session: int, rows: I32, heads: I32) -> U64:
        """Forget some outcomes of a session; their keys. O(outcomes of the session)."""
        chain, columns = np.array(self.chain(heads.item(session)), np.int32), self.table.columns
        keys: U64 = columns.key[rows]
        heads[session] = LAST
        self.link(chain[~np.isin(chain, rows)], heads)
        self.remove(rows)
        return keys

    def due(self, instant: int) -> I32:
        """Those that wait and are older than `instant`, in the order of arrival. O(1) where none is."""
        if self._first >= instant:
            return np.zeros(0, np.int32)
        waiting = self._waiting = self._still_waiting()
        at = self.table.columns.at[waiting]
        self._first = int(at.min(initial=2**63 - 1))
        return waiting[at < instant]

    def has_reached(self, rows: I32, words: U64, ids: Sequence[str]) -> None:
        """Note the calls that those which waited have reached: given as in `IdColumn.put_words`."""
        self.table.calls.put_words(rows, words, ids.__getitem__)
        self.table.columns.waits[rows] = False
        for row in rows.tolist() if self.texts else ():
            if (texts := self.texts.pop(row, None)) is not None and texts.author is not None:
                self.texts[row] = LoneTexts(texts.author, None, None)
        self._settle()

    def said(self, rows: Sequence[int]) -> list[SaidId]:
        """Outcomes as the slow path has them, in the order of their rows."""
        return [self._said(row) for row in rows]

    def _said(self, row: int) -> SaidId:
        table, texts = self.table, self.texts.get(row, NO_TEXTS)
        c = table.columns
        given, score, waits = c.given.item(row), c.score.item(row), c.waits.item(row)
        has_call = table.calls.known(np.array([row]))[0]
        calls = None if waits else [table.calls.get(row)] if has_call else []
        one = Utterance(
            c.at.item(row), self.sources.names[c.source.item(row)], texts.author, None if given < 0 else bool(given),
            None if score != score else score, False, None, texts.reason, texts.scorer, "last", "",  # noqa: PLR0124
            self._origin(row) if waits else None, list(calls or ()),
        )  # fmt: skip
        return SaidId(table.ids.get(row), c.revises.item(row), [one], calls)

    def _origin(self, row: int) -> SaidIn:
        c = self.table.columns
        partition, digest = self.partitions.names[c.partition.item(row)], c.hash[row].tobytes().hex()
        return SaidIn(partition, c.offset.item(row), c.size.item(row), digest)

    def put_back(self, session: int, said: Sequence[SaidId], keys: U64, heads: I32) -> None:
        """Add outcomes of a session that have reached their calls, see `SaidId.is_lone`; their keys are free."""
        ones, count = [one.utterances[0] for one in said], len(said)
        zeros = np.zeros(count, np.int32)
        new = NewLone(
            key=keys,
            session=np.full(count, session, np.int32),
            at=np.array([one.at for one in ones], np.int64),
            source=np.array([self.sources.code(one.source or "") for one in ones], np.int32),
            given=np.array([-1 if one.success is None else one.success for one in ones], np.int8),
            score=np.array([np.nan if one.score is None else one.score for one in ones], np.float64),
            revises=np.array([one.revises for one in said], np.bool_),
            partition=zeros,
            offset=zeros.astype(np.int64),
            size=zeros,
            hash=np.zeros((count, 4), np.uint64),
            uuid=np.zeros((count, 2), np.uint64),
            ids=[one.outcome_id for one in said],
            texts={at: LoneTexts(one.author, None, None) for at, one in enumerate(ones) if one.author is not None},
        )
        rows = self.add(new, heads)
        self.has_reached(rows, new.uuid, [one.reached[0] for one in ones])

    def remove(self, rows: I32) -> None:
        """Forget outcomes; their chains are the owner's."""
        columns = self.table.columns
        columns.waits[rows] = False
        self._settle()
        self._index.remove(columns.key[rows])
        for row in rows.tolist() if self.texts else ():
            self.texts.pop(row, None)
        self.table.give_back(rows)

    def _settle(self) -> None:
        self._waiting = self._still_waiting()
        self._first = int(self.table.columns.at[self._waiting].min(initial=2**63 - 1))

    def _still_waiting(self) -> I32:
        return self._waiting[self.table.columns.waits[self._waiting]]

    def used(self) -> I32:
        """All rows. O(n)."""
        return self.table.used_rows()

    def rows_of(self, sessions: I32) -> I32:
        """The rows of all outcomes of some sessions. O(n)."""
        used = self.used()
        return used[np.isin(self.table.columns.session[used], sessions)]

    def rows_still(self, rows: I32) -> I32:
        """Those of some rows at which there is an outcome."""
        return rows[self.table.ids.known(rows)]

    def sessions_of(self, call_id: str) -> list[int]:
        """The sessions of which an outcome has reached a call. O(n)."""
        used, words = self.used(), words_of([call_id])
        reached = used[self.table.calls.same(used, np.repeat(words, len(used), 0), lambda _: call_id)]
        sessions: list[int] = np.unique(self.table.columns.session[reached]).tolist()
        return sessions

    # State

    def state_of(self, rows: I32) -> dict[str, Any]:
        """Plain values of `rows`, in the order of arrival, but for their sessions."""
        texts = {at: tuple(self.texts[row]) for at, row in enumerate(rows.tolist()) if row in self.texts}
        state = {**self.table.state_of(rows), "calls": self.table.calls.state_of(rows), "texts": texts}
        return {**state, "sources": list(self.sources.names), "partitions": list(self.partitions.names)}

    def restore(self, state: dict[str, Any], sessions: I32, heads: I32) -> None:
        """Fill an empty table from `state_of`; `sessions`: their rows."""
        rows = self.table.take_rows(len(sessions))
        self.table.put_state(rows, {**state, "session": sessions, "turn": np.arange(len(rows))})
        self.table.calls.put_state(rows, state["calls"])
        self.texts = {rows.item(at): LoneTexts(*texts) for at, texts in state["texts"].items()}
        self.sources, self.partitions = Names(state["sources"]), Names(state["partitions"])
        self._index.insert(state["key"], rows)
        self._turn = len(rows)
        self.link(rows, heads)
        self._waiting = rows[state["waits"]]
        self._settle()


def keys_of(session_keys: U64, uuid: U64, ids: Sequence[str]) -> U64:
    """A key of each outcome of a session: others hardly ever have it. `uuid`: the ids as words, zeros for others."""
    hashes: U64 = uuid[:, 0] * _ODD[0] ^ uuid[:, 1]
    (rest,) = ((uuid[:, 0] | uuid[:, 1]) == 0).nonzero()
    hashes[rest] = [xxh3_64_intdigest(ids[i].encode()) for i in rest.tolist()]
    mixed = (hashes ^ session_keys * _ODD[1]) * _ODD[2]
    keys: U64 = mixed ^ mixed >> np.uint64(29)
    return keys
