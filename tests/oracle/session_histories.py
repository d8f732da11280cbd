"""Hypothesis strategies for calls with sessions and what is said about these: before, between and after their calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from oracle.order import Read, watermarks
from oracle.records import Call, Outcome, Rules
from oracle.session import Erase, Said
from oracle.session_replay import SessionOracle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oracle.session_replay import Record

SECOND = 1_000_000
MINUTE = 60 * SECOND
START = 29_000_000 * MINUTE
SESSIONS = ("s-1", "s-2", "01957b3e-5c00-7000-8000-00000000000a")
CALLS = ("a", "b", "ç", "01957b3e-5c00-7000-8000-000000000001", "x" * 64, "e", "f")
IDS = ("u1", "u2", "ü")
TASKS = ("task", "short")
PARTITIONS = 4


class SessionHistory(NamedTuple):
    """Records dealt to partitions, those of one key to one, and the rules to judge them by."""

    rules: Rules
    partitions: tuple[tuple[Record, ...], ...]

    def reads(self) -> list[list[Read]]:
        """The partitions as they are read."""
        return [[_read(at, line, one) for line, one in enumerate(part)] for at, part in enumerate(self.partitions)]

    def merged(self) -> list[Read]:
        """All records by event time, partition and line."""
        everything = [read for part in self.reads() for read in part]
        return sorted(everything, key=lambda read: (read.record.at, read.file, read.line))


def replayed_sessions(rules: Rules, order: Sequence[Read], partitions: int = PARTITIONS) -> SessionOracle:
    """The oracle after reading `order` to its end."""
    oracle = SessionOracle(rules)
    before, last = watermarks(order, partitions)
    for read, watermark in zip(order, before, strict=True):
        oracle.feed(read.record, watermark)
    oracle.finish(last)
    return oracle


@st.composite
def session_rules(draw: st.DrawFn) -> Rules:
    """Horizons from 10 minutes on, waits up to beyond them."""
    return Rules(
        horizon_us=draw(st.sampled_from([10 * MINUTE, 100 * MINUTE, 100_000 * MINUTE])),
        allowed_lateness_us=draw(st.sampled_from([0, 10 * MINUTE, 60 * MINUTE])),
        orphan_wait_us=draw(st.sampled_from([SECOND, 10 * MINUTE, 90 * MINUTE])),
        session_wait_us=draw(st.sampled_from([0, 5 * MINUTE, 30 * MINUTE])),
        task_horizon_us=draw(st.sampled_from([{}, {"short": MINUTE}, {"short": 20 * MINUTE}])),
        revises=draw(st.sampled_from([frozenset(), frozenset({"user"}), frozenset({"user", "judge"})])),
        completes=draw(st.booleans()),
        most_reached=draw(st.sampled_from([1000, 1000, 1])),
    )


@st.composite
def session_histories(
    draw: st.DrawFn, *, in_order: bool = True, simple: bool = False, bounded: bool = False
) -> SessionHistory:
    """Up to some forty records; `simple`: ids come once, nothing is taken back; `bounded`: few are remembered."""
    rules = draw(session_rules())
    if bounded:
        rules = replace(rules, most_ids=draw(st.sampled_from([9, 2])), most_calls=draw(st.sampled_from([9, 3])))
    calls = draw(_calls(simple=simple))
    times = [call.at for call in calls]
    said = draw(_said(times, rules, simple=simple))
    records: list[Record] = [*calls, *said, *draw(_own(calls))]
    if not simple:
        records += [draw(_again(record)) for record in draw(st.lists(st.sampled_from(records), max_size=4))]
    ticks = [Call(f"tick-{minute}", START + minute * MINUTE) for minute in draw(st.lists(minutes, max_size=4))]
    partitions: list[list[Record]] = [[] for _ in range(PARTITIONS)]
    dealt = draw(st.lists(st.integers(0, PARTITIONS - 1), min_size=16, max_size=16))
    for record in draw(st.permutations(records)) + ticks:
        partitions[dealt[_slot(record)]].append(record)
    if in_order:
        partitions = [sorted(part, key=lambda record: record.at) for part in partitions]
    return SessionHistory(rules, tuple(map(tuple, partitions)))


def _read(partition: int, line: int, record: Any) -> Read:
    """As the ledgers' records are read, which outcomes of sessions are none of."""
    return Read(partition, line, record)


minutes = st.integers(0, 150)
mostly_one = st.sampled_from([SESSIONS[0]] * 4 + [*SESSIONS[1:]])


def _slot(record: Record) -> int:
    """Records of one key share a partition: calls and outcomes by call id, those of a session by its id."""
    if isinstance(record, Said):
        return 12 + SESSIONS.index(record.session_id)
    return CALLS.index(record.call_id) if record.call_id in CALLS else 10


@st.composite
def _calls(draw: st.DrawFn, *, simple: bool) -> list[Call]:
    anchors = draw(st.lists(minutes, min_size=1, max_size=3))
    calls = [
        Call(
            call_id,
            START + draw(st.sampled_from(anchors)) * MINUTE + draw(st.sampled_from([0, 0, 1, SECOND, 3 * MINUTE])),
            draw(st.sampled_from(TASKS)),
            session_id=draw(mostly_one | st.none()),
            parent_call_id=draw(st.sampled_from([None, *CALLS[:4]])),
        )
        for call_id in draw(st.lists(st.sampled_from(CALLS), min_size=2, unique=True))
    ]
    if simple:
        return calls
    sessions: list[dict[str, Any]] = [{"session_id": one} for one in (None, *SESSIONS[:2])]
    others = [*sessions, {"model": "other"}]
    again = draw(st.lists(st.sampled_from(calls), max_size=2))
    moved = st.sampled_from([0, 0, MINUTE, -MINUTE])
    return calls + [replace(c, at=c.at + draw(moved), **draw(st.sampled_from(others))) for c in again]


@st.composite
def _said(draw: st.DrawFn, times: list[int], rules: Rules, *, simple: bool) -> list[Said]:
    usual = [0, 0, 1, SECOND, MINUTE, 4 * MINUTE, 10 * MINUTE]
    delays = [*usual, rules.horizon_us, rules.horizon_us + 1, -1, -5 * MINUTE]
    at = st.builds(int.__add__, st.sampled_from(times), st.sampled_from(delays))
    names = draw(st.lists(st.tuples(mostly_one, st.sampled_from(IDS)), min_size=2, max_size=7, unique=simple))
    kinds = ["vote"] * 4 if simple else ["vote"] * 4 + ["by source", "by id", "cleared"]
    return [draw(_one(session, name, draw(at), draw(st.sampled_from(kinds)))) for session, name in names]


@st.composite
def _one(draw: st.DrawFn, session: str, name: str, at: int, kind: str) -> Said:
    scope = draw(st.sampled_from(["last", "last", "all", "all", "root", "descendants"]))
    outcome = Outcome(
        name,
        draw(st.sampled_from(CALLS[:4])) if scope == "descendants" else "",
        at,
        draw(st.sampled_from(["user", "user", "judge"])),
        draw(st.booleans()) if kind == "vote" else None,
        action="retract" if kind.startswith("by") else "assert",
        retracts=draw(st.sampled_from(IDS)) if kind == "by id" else None,
        author=draw(st.sampled_from([None, None, "ann"])),
        call_at=draw(st.sampled_from([None, None, START - 200_000 * MINUTE])),
        reason=draw(st.sampled_from([None, "weil ö"])),
    )
    return Said(session, outcome, scope)


@st.composite
def _own(draw: st.DrawFn, calls: list[Call]) -> list[Outcome]:
    """What is said about the calls themselves, under the same ids."""
    chosen = draw(st.lists(st.sampled_from(calls), max_size=2))
    return [
        Outcome(draw(st.sampled_from(IDS)), call.call_id, call.at + MINUTE, "judge", success=draw(st.booleans()))
        for call in chosen
    ]


@st.composite
def _again(draw: st.DrawFn, record: Record) -> Record:
    """The record again, or an edition of it."""
    if not isinstance(record, Said):
        return record
    shift = draw(st.sampled_from([0, 0, SECOND, MINUTE, 10 * MINUTE, -SECOND]))
    changes: list[dict[str, Any]] = [{}, {}, {"success": True}, {"success": False}, {"success": None}]
    changed = draw(st.sampled_from(changes))
    scope = draw(st.sampled_from([record.scope] * 4 + ["last"]))
    return replace(record, outcome=replace(record.outcome, at=record.at + shift, **changed), scope=scope)


# Streams: one session, mostly, and any watermark, so that much is late, due, or given up.


@st.composite
def session_streams(draw: st.DrawFn, *, plain: bool = False) -> tuple[Rules, list[Call | Said | Erase], list[int], int]:
    """Rules, up to thirty records of sessions and erasures, the watermark before each, and the one after the last.

    `plain`: most is said once, and of the last call.
    """
    rules = draw(session_rules())
    if draw(st.booleans()):
        rules = replace(rules, most_ids=draw(st.sampled_from([9, 2])), most_calls=draw(st.sampled_from([9, 3])))
    wm, records, before = START, list[Call | Said | Erase](), list[int]()
    for _ in range(draw(st.integers(3, 30))):
        wm += draw(st.sampled_from([0, 0, 0, 0, 1, SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE]))
        at = wm + draw(st.sampled_from([-20, -6, -5, -2, -1, 0, 0, 1, 2, 5, 12])) * MINUTE
        before.append(wm)
        turn = draw(st.integers(0, 39 if plain else 23))
        if records and turn < 3:
            again = draw(st.sampled_from(records))
            edition = again if isinstance(again, Erase) else draw(_again(again))
            records.append(edition if isinstance(edition, Call | Said) else again)
        elif turn == 3:
            records.append(draw(st.sampled_from([Erase(session_id=SESSIONS[0]), *(Erase(None, one) for one in CALLS)])))
        elif draw(st.booleans()):
            records.append(draw(_member(at)))
        elif plain and turn > 5:
            name = f"{draw(st.sampled_from(IDS))}{len(records)}"
            vote = draw(_one(draw(mostly_one), name, at, "vote"))
            records.append(replace(vote, scope="last", outcome=replace(vote.outcome, call_id="")))
        else:
            kind = draw(st.sampled_from(["vote"] * 4 + ["by source", "by id", "cleared"]))
            records.append(draw(_one(draw(mostly_one), draw(st.sampled_from(IDS)), at, kind)))
    return rules, records, before, wm + draw(st.sampled_from([0, MINUTE, 200 * MINUTE]))


@st.composite
def _member(draw: st.DrawFn, at: int) -> Call:
    parent = draw(st.sampled_from([None, *CALLS[:4]]))
    task, session = draw(st.sampled_from(TASKS)), draw(mostly_one)
    return Call(draw(st.sampled_from(CALLS)), at, task, session_id=session, parent_call_id=parent)
