"""Hypothesis strategies for small, nasty histories: ties, boundaries, repeats, retractions, orphans, several files."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from oracle.kinds import more_calls, more_outcomes, pick, with_kinds
from oracle.order import File, Read, merged_order, reading_order, watermarks
from oracle.records import EPOCH, IDS, Rules, micros
from oracle.replay import Oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
DAY = 24 * HOUR
START = micros("2025-03-01T23:30:00Z")
"""Half an hour before midnight, so that hours and days end amid the histories."""

TASKS = ("summarise", "réponse", "route")
MODELS = ("m-1", "m-2")
SPELLINGS: tuple[Callable[[str], str], ...] = (
    *(str,) * 5,
    " {}\t".format,
    "\ufeff{}\u200b".format,
    lambda name: name.replace("é", "e\u0301"),
)
"""Ways in which one name is written."""
ALIASES: tuple[dict[str, dict[str, str]], ...] = (
    {},
    {},
    {"model": {"m-2": "m-1"}},
    {"model": {"m-*": "m", "m-2": "other"}, "config": {"v?": "v", "default": "v"}},
    {"task_type": {"route": "summarise", "ré*": "réponse"}},
)
SOURCES = ("user_feedback", "human_review", "judge", "toxicity", "тикет")
HOMONYMS = ("tH9qYN2r", "[Pph)%Z")
CALL_IDS = (
    "01957b3e-5c00-7000-8000-000000000001",
    "01957b3e-5c00-7000-8000-000000000002",
    "01957B3E-5C00-7000-8000-000000000001",
    "01957b3e5c0070008000000000000001",
    "URN:UUID:{01957b3e-5c00-7000-8000-000000000002}\u200b",
    "7",
    "07",
    "call one",
    "ünï-コール-🙂",
    "x" * 128,
    # Two ids with one hash, as they can be found in seconds: these calls have nothing to do with each other.
    *HOMONYMS,
)
COUNTED = ("7", "9", "10")
"""Ids that are written as numbers too."""
OUTCOME_IDS = ("a", "b", "B", "é", "10", "9", "01957b3e-5c00-7000-8000-000000000001", "🙂")


class History(NamedTuple):
    """Files of a replay, those of calls first, and the rules to judge them by."""

    rules: Rules
    files: tuple[File, ...]

    def order(self, *, merged: bool = False) -> list[Read]:
        """The records in reading order; `merged` merges the files' heads instead of sorting all records."""
        return merged_order(self.files) if merged else reading_order(self.files)

    def oracle(self, *, merged: bool = False) -> Oracle:
        """The oracle after the whole replay."""
        return replayed(self.rules, self.order(merged=merged), len(self.files))


def replayed(rules: Rules, order: Sequence[Read], partitions: int) -> Oracle:
    """The oracle after reading `order` to its end, with the naive watermark over `partitions`."""
    oracle = Oracle(rules)
    before, last = watermarks(order, partitions)
    for read, watermark in zip(order, before, strict=True):
        oracle.feed(read.record, watermark)
    oracle.finish(last)
    return oracle


_DURATIONS = st.sampled_from([10 * MINUTE, 30 * MINUTE, 2 * HOUR, DAY])
_OWN_HORIZONS = st.dictionaries(st.sampled_from(TASKS), _DURATIONS, max_size=2)
_PRECEDENCE = st.lists(st.sampled_from(SOURCES), unique=True, max_size=3)
_IDS_OF_CALLS = st.lists(st.sampled_from(CALL_IDS), unique=True, min_size=1, max_size=5)
_IDS_OF_OUTCOMES = {
    (fewest, differ): st.lists(st.sampled_from(OUTCOME_IDS), min_size=fewest, max_size=5, unique=differ)
    for fewest in range(3)
    for differ in (False, True)
}


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """Horizons from 10 minutes to a day, so that calls close amid the history."""
    own = draw(_OWN_HORIZONS)
    silent = [task for task in sorted(own) if draw(st.booleans())]
    return Rules(
        horizon_us=draw(_DURATIONS),
        allowed_lateness_us=pick(draw, [SECOND, 10 * MINUTE, HOUR]),
        orphan_wait_us=pick(draw, [SECOND, 5 * MINUTE, HOUR, DAY]),
        precedence=tuple(draw(_PRECEDENCE)),
        pass_at=pick(draw, [{}, {"judge": 0.5}]),
        fail_at=pick(draw, [{}, {"toxicity": 0.3}]),
        task_horizon_us=own,
        scale=pick(draw, [{}, {}, {"user_feedback": (-1.0, 5.0)}, {"judge": (0.25, 0.75)}]),
        aliases=pick(draw, ALIASES),
        ids_as_uuids=pick(draw, [False, False, True]),
        silence={task: pick(draw, ["success", "failure"]) for task in silent},
    )


@st.composite
def histories(draw: st.DrawFn, *, sorted_files: bool = True, kinds: frozenset[str] = frozenset()) -> History:
    """Up to some forty records in one to four files; the lines of each are in event-time order if `sorted_files`.

    With `kinds` of `oracle.kinds` there are records and rules of these too, and up to a hundred records.
    """
    chosen = draw(rules())
    calls = _calls(draw, chosen)
    outcomes = [outcome for call in calls for outcome in _outcomes_of(draw, call, chosen)]
    outcomes += _orphans(draw, calls)
    if kinds:
        chosen = with_kinds(draw, chosen, kinds, TASKS)
        calls, outcomes = more_calls(draw, calls, kinds), more_outcomes(draw, outcomes, kinds)
    ticks = draw(st.lists(st.integers(0, 3 * 24 * 60), max_size=3, unique=True))
    beside = [[_repeat(draw, record) for record in _some(draw, records)] for records in (calls, outcomes)]
    files = []
    for kind, records, repeats in (("calls", calls, beside[0]), ("outcomes", outcomes, beside[1])):
        count = pick(draw, [1, 2] if kind == "calls" else [1, 2, 1, 2, 0])
        shares: list[list[dict[str, Any]]] = [[] for _ in range(count)]
        for record in draw(st.permutations(records + repeats)):
            if shares:
                shares[draw(st.integers(0, count - 1))].append(record)
        for index, share in enumerate(shares):
            share += [_tick(kind, index, minute) for minute in ticks]
            if sorted_files:
                share.sort(key=lambda record: record["occurred_at"])
            files.append(File(kind, tuple([_line(draw, kind, record) for record in share])))
    return History(chosen, tuple(files))


@st.composite
def interleavings(draw: st.DrawFn, partitions: Sequence[Sequence[Read]]) -> list[Read]:
    """Some order that keeps the order within each partition, as brokers deliver."""
    turns = draw(st.permutations([index for index, reads in enumerate(partitions) for _ in reads]))
    rest = [iter(reads) for reads in partitions]
    return [next(rest[index]) for index in turns]


# Records are drawn as the fields of their JSON, with times still in microseconds; `_line` writes them.


def _calls(draw: st.DrawFn, chosen: Rules) -> list[dict[str, Any]]:
    anchors = draw(st.lists(st.integers(0, 2 * 24 * 60), min_size=1, max_size=3))
    edges = [0, 0, SECOND, 59 * SECOND, -1, MINUTE, chosen.horizon_us, chosen.horizon_us + chosen.allowed_lateness_us]
    return [
        {
            "call_id": call_id,
            "occurred_at": START + pick(draw, anchors) * MINUTE + pick(draw, edges),
            "task_type": _spelled(draw, TASKS),
            "model": _spelled(draw, MODELS),
            "config": pick(draw, [None, None, "default", "v2", "", " "]),
            "segment": pick(draw, [None, "short", "long_input", ""]),
            "error": pick(draw, [None, None, "", "timeout", "refused\n by host"]),
            "session_id": pick(draw, [None, "s-1", ""]),
            "latency_ms": pick(draw, [None, 0, 12.5, 1800]),
            "cost_usd": pick(draw, [None, 0, 0.25, 0.000125]),
            **pick(
                draw,
                [
                    {},
                    {"tokens": 7.0},
                    {"tokens_in": 5, "tokens_out": 6.0},
                    {"tokens_in": 4096, "tool_calls": [{"name": "search", "ok": False}, {"name": "sql"}]},
                ],
            ),
            "attrs": pick(
                draw,
                [
                    None,
                    {"tier": "gold"},
                    {"tier": "gold", "user": {"id": 1}, "tags": [], "note": "x" * 257},
                    {"language": "de-AT"},
                    {"language": None, "lang": "Klingon"},
                ],
            ),
        }
        for call_id in draw(_IDS_OF_CALLS)
    ]


def _spelled(draw: st.DrawFn, names: tuple[str, ...]) -> str:
    return pick(draw, SPELLINGS)(pick(draw, names))


def _outcomes_of(draw: st.DrawFn, call: dict[str, Any], chosen: Rules) -> list[dict[str, Any]]:
    horizon = chosen.horizon_of(call["task_type"])
    close = horizon + chosen.allowed_lateness_us
    early = [-HOUR, -chosen.orphan_wait_us, -chosen.orphan_wait_us - 1, -SECOND]
    usual = [0, 0, 1, SECOND, 59 * SECOND, MINUTE, 10 * MINUTE, 10 * MINUTE]
    edges = [horizon - SECOND, horizon, horizon, horizon + 1, close, close + SECOND]
    delays = [*early, *usual, *edges]
    # An id drawn twice makes a conflict; mostly they differ.
    fewest, differ = draw(st.integers(0, 2)), pick(draw, [True, True, False])
    ids = draw(_IDS_OF_OUTCOMES[fewest, differ])
    return [
        {
            "outcome_id": outcome_id,
            "call_id": call["call_id"],
            "occurred_at": call["occurred_at"] + pick(draw, delays),
            "source": pick(draw, SOURCES),
            **_assertion(draw, [*ids, *OUTCOME_IDS[:1]]),
            "reason": pick(draw, [None, "because", "weil ö", ""]),
            "scorer": pick(draw, [None, "prüfer@1", "judge@2", ""]),
            "call_occurred_at": pick(draw, [None, None, "", call["occurred_at"], START - 3 * DAY]),
        }
        for outcome_id in ids
    ]


def _assertion(draw: st.DrawFn, ids: list[str]) -> dict[str, Any]:
    """What an outcome says: a verdict, a score, both, or that it retracts."""
    kind = pick(draw, ["judged", "scored", "judged", "scored", "both", "by id", "of all", "aimed"])
    if kind == "by id":
        return {"action": "retract", "retracts": pick(draw, ids)}
    if kind == "of all":
        return {"action": "retract", "retracts": ""}
    if kind == "aimed":
        # Without `retract` it withdraws nothing, but records of one id that differ in it are not equal.
        return {"success": draw(st.booleans()), "retracts": pick(draw, ids)}
    said: dict[str, Any] = {}
    if kind != "scored":
        said["success"] = draw(st.booleans())
    if kind != "judged":
        said["score"] = pick(draw, [0, 0.29, 0.3, 0.5, 0.69, 0.7, 1, 3, 4, -2])
    if kind != "both":
        said["action"] = pick(draw, [None, "assert", ""])
    return said


def _orphans(draw: st.DrawFn, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "outcome_id": pick(draw, OUTCOME_IDS[:2]),
            "call_id": "nobody's call",
            "occurred_at": START + minute * MINUTE,
            "source": pick(draw, SOURCES),
            "success": draw(st.booleans()),
            "call_occurred_at": pick(draw, [None, START - 3 * DAY, calls[0]["occurred_at"]]),
        }
        for minute in draw(st.lists(st.integers(0, 2 * 24 * 60), max_size=2))
    ]


def _some(draw: st.DrawFn, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [pick(draw, records) for _ in range(draw(st.integers(0, 3)))] if records else []


def _repeat(draw: st.DrawFn, record: dict[str, Any]) -> dict[str, Any]:
    """The record again: the same, changed where that does not matter, or changed where it does."""
    call = "task_type" in record
    spelled = {"model": f" {record['model']}\u200b"} if call else {}
    harmless = (
        {"latency_ms": 99, "attrs": {"again": True}, **spelled} if call else {"reason": "again", "scorer": "judge@3"}
    )
    harmful = {"model": "m-3"} if call else {"source": "contract"}
    later = {"occurred_at": record["occurred_at"] + pick(draw, [1, SECOND, MINUTE])}
    changes: list[dict[str, Any]] = [{}, {}, harmless, harmful, later]
    return {**record, **pick(draw, changes)}


def _tick(kind: str, index: int, minute: int) -> dict[str, Any]:
    """A record that moves the clock of its file."""
    at = START + minute * MINUTE
    if kind == "calls":
        return {"call_id": f"tick-{index}-{minute}", "occurred_at": at, "task_type": "tick", "model": "m-1"}
    ids = {"outcome_id": f"tick-{index}", "call_id": f"tick-0-{minute}"}
    return {**ids, "occurred_at": at, "source": "downstream", "success": True}


def _line(draw: st.DrawFn, kind: str, record: dict[str, Any]) -> bytes:
    """One of the many ways to write a record: offsets, nulls, empty texts, unknown fields, escapes."""
    style = draw(st.integers(0, 4))
    written = {name: value for name, value in record.items() if value is not None or style == 1}
    for name in ("occurred_at", "call_occurred_at"):
        if isinstance(written.get(name), int):
            written[name] = _time(written[name], style)
    if style == 1:
        # A counter of another system: its numbers are ids, as their digits are.
        written |= {name: int(written[name]) for name in IDS if str(written.get(name)) in COUNTED}
    if style == 2:
        written = {"type": kind[:-1], "unknown_field": {"deep": [1, None]}, **written}
    return json.dumps(written, ensure_ascii=style != 3, separators=(",", ":") if style == 4 else None).encode()


def _time(at: int, style: int) -> str:
    zone = timezone(timedelta(hours=[0, 0, 0, 2, -5][style], minutes=30 if style == 3 else 0))
    text = (EPOCH + timedelta(microseconds=at)).astimezone(zone).isoformat()
    assert datetime.fromisoformat(text) - EPOCH == timedelta(microseconds=at)
    return text.replace("+00:00", "Z") if style == 0 else text
