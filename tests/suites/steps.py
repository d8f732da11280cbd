"""The table of stateful steps: how each is built, what reaches it, and what of its results no cut may change.

A new step of the dataflow gets a row here; `test_steps.py` then holds it to every law.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from aftercall.contracts.contract_set import ContractSet
from aftercall.times import NEVER
from connectors.segments.folder import SegmentFolder
from connectors.segments.messages import Segment
from connectors.segments.sink import SegmentPart
from flows.dataflow import rows
from flows.dataflow.gathering import Gathering
from flows.dataflow.judging import judge_of, session_book_of
from flows.dataflow.outputs import cell_history
from flows.dataflow.session_shards import to_join, to_sessions
from flows.dataflow.shards import SHARDS, to_shards
from flows.dataflow.snapshot_messages import CheckChanges, Clock
from flows.dataflow.steps import (
    Build,
    Joining,
    alerting_step,
    drift_step,
    groups_step,
    join_step,
    routing_step,
    sessions_step,
    trust_step,
)
from flows.dataflow.stored_state import Keeping, Loaded, Tracked
from flows.settings import Settings
from flows.settings.for_models import (
    alert_settings,
    counted_segments,
    drift_settings,
    group_caps,
    join_rules,
    routing_settings,
    session_rules,
    trust_settings,
)
from harness.contracts import contract
from models import plain
from models.groups import Grouped
from models.join import Join, Joined, merged_shard
from models.sessions import merged_sessions
from models.state import Envelopes
from suites.of_ids import ids_of, waiting_of
from suites.of_sessions import held_sessions, resolved, said
from suites.rates_logic import RatesLogic, cells_by_key
from suites.traffic import batches

Keyed = tuple[str, Any]
"""A message with the key of the logic that takes it, as in the dataflow."""


class Stream:
    """The messages between the steps for one stream of records, read in batches that end at `cuts` (parts of it)."""

    def __init__(self, cuts: Sequence[float]) -> None:
        self._batches = batches(cuts)
        self._run: dict[str, tuple[Running, list[Keyed]]] = {}

    def into(self, step: str) -> list[Keyed]:
        """What reaches a step."""
        return STEPS[step].messages(self)

    def out_of(self, step: str) -> list[Keyed]:
        """What leaves a step that nothing disturbs."""
        return self.undisturbed(step)[1]

    def undisturbed(self, step: str) -> tuple[Running, list[Keyed]]:
        """A step at the end of the stream, and what left it: fed once, and not asked for its state before."""
        if step not in self._run:
            running = Running(step)
            self._run[step] = running, running.feed(self.into(step))
        return self._run[step]

    def arrivals(self) -> list[Keyed]:
        """The batches over the shards, with what sessions say about the calls."""
        gathered = {shard: Gathering(len(SHARDS)) for shard in SHARDS}
        for resolving in self.out_of("sessions"):
            for shard, answer in to_join(resolving):
                assert list(gathered[shard].add(answer)) == []
        own = [keyed for batch in self._batches for keyed in to_shards(batch)]
        return [(shard, arrivals) for shard, part in own for arrivals in gathered[shard].add(part)]

    def of_sessions(self) -> list[Keyed]:
        """The batches over the shards of sessions."""
        return [keyed for batch in self._batches for keyed in to_sessions(batch)]


@cache
def stream(cuts: tuple[float, ...]) -> Stream:
    """The stream, made once."""
    return Stream(cuts)


class Running:
    """The logics of a step, one per key, as Bytewax keeps them, and the segments of their states."""

    def __init__(self, name: str, stored: Stored | None = None, folder: Path | None = None) -> None:
        """`folder`: for segments; without one states are stored whole. What was stored is left as it is."""
        self._name, self._folder = name, folder
        if stored is not None and stored.folder is not None and stored.folder.exists():
            assert folder is not None
            shutil.copytree(stored.folder, folder)
        self._keeping = Keeping(ENVELOPES, None if folder is None else SegmentFolder(folder), SEGMENT_BYTES)
        self._sink = None if self._keeping.folder is None else SegmentPart(self._keeping.folder)
        self._build = STEPS[name].build(self._keeping)
        self._logics = {key: self._build(state) for key, state in ({} if stored is None else stored.rows).items()}

    def feed(self, messages: Iterable[Keyed], together: int = 1) -> list[Keyed]:
        """Results, with their key; so many messages of one key that follow each other are handed over at once."""
        results: list[Keyed] = []
        waiting: list[Keyed] = []
        for message in messages:
            if waiting and (waiting[0][0] != message[0] or len(waiting) == together):
                results += self._hand_over(waiting)
                waiting = []
            waiting.append(message)
        return results + (self._hand_over(waiting) if waiting else [])

    def _hand_over(self, messages: list[Keyed]) -> list[Keyed]:
        key = messages[0][0]
        if key not in self._logics:
            self._logics[key] = self._build(None)
        left, _ = self._logics[key].on_batch([message for _, message in messages])
        results = list(left)
        if self._sink is not None:
            self._sink.write_batch([result for result in results if isinstance(result, Segment)])
        return [(key, _as_it_left(result)) for result in results if not isinstance(result, Segment)]

    def states(self) -> Stored:
        """What an epoch's end stores."""
        rows = {key: logic.snapshot() for key, logic in self._logics.items()}
        if self._sink is not None:
            self._sink.snapshot()
        return Stored(self._name, rows, self._folder)

    def state(self, key: str) -> Stored:
        """That of one key, as if the others had not been touched in the epoch."""
        rows = {key: self._logics[key].snapshot()}
        if self._sink is not None:
            self._sink.snapshot()
        return Stored(self._name, rows, self._folder)

    def restore(self, key: str) -> None:
        """Stop the logic of a key, and go on with one that is restored from its state; one that is not there is not."""
        if key in self._logics:
            self._logics[key] = self._build(self.state(key).rows[key])


class Stored(NamedTuple):
    """What a step has stored: by key what Bytewax keeps, and the folder of the segments."""

    step: str
    rows: dict[str, bytes]
    folder: Path | None

    def opened(self) -> dict[str, Any]:
        """The states, by key."""
        keeping = Keeping(ENVELOPES, None if self.folder is None else SegmentFolder(self.folder))
        merge = {"join": merged_shard, "sessions": merged_sessions}.get(self.step, Tracked.merge)
        return {key: Loaded(keeping, self.step, row, key).state(merge) for key, row in self.rows.items()}


def _as_it_left(result: Any) -> Any:
    """The result with copies of its lists: those of names go on growing in the step."""
    if isinstance(result, list | tuple):
        parts = [_as_it_left(value) if isinstance(value, list | tuple) else value for value in result]
        if isinstance(result, list):
            return parts
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    return result


ENVELOPES: Final = Envelopes()
SEGMENT_BYTES: Final = 512
"""So that next to nothing is stored whole."""


def _cells(source: Stream) -> list[Keyed]:
    """As `outputs` sends them; a clock only with the last message, or after the twelve shards of every second batch."""
    messages: list[Keyed] = []
    grouped = source.out_of("groups")
    for at, item in enumerate(grouped, start=1):
        changes, clock = [], Clock(NEVER, NEVER, {})
        for _, message in cell_history(item):
            if isinstance(message, Clock):
                clock = message
            elif not isinstance(message, CheckChanges):  # see `tests/models/rates/test_check_cells.py`
                changes.append(("rates", message))
        messages += changes
        if at % 24 == 0 or at == len(grouped):
            messages.append(("rates", clock._replace(newest_call=clock.watermark)))
    return messages


class Step(NamedTuple):
    """A row of the table."""

    build: Callable[[Keeping], Build]
    messages: Callable[[Stream], list[Keyed]]
    steady: Callable[[list[Any]], Any]
    """Of all results, what the contract of the step promises to be the same however the records were cut."""
    shown: Callable[[Any], Any] = lambda result: result
    """A result without the order of its rows, where that has no meaning."""
    content: Callable[[dict[str, Any]], Any] = dict
    """A state without the order of its rows, where that has no meaning: a restored step may number them otherwise."""
    in_sink: bool = False
    """The state is part of a sink's, not of a stateful operator."""


def _joined(joined: Joined) -> Any:
    """A result of the join as multisets of rows, with names for codes."""
    changes = joined.changes
    segments = changes.segments or ("",) * len(changes.names)
    names = list(zip(changes.names, segments, strict=True))
    texts = {"code": names, "source": changes.sources, "error": changes.errors}
    tables = {
        name: Counter(_named(table, texts)) for name, table in changes._asdict().items() if hasattr(table, "code")
    }
    return {
        "changes": tables,
        "watermark": changes.watermark,
        "calls": Counter(rows.call_rows(joined)),
        "completions": Counter(rows.completion_rows(joined)),
        "verdicts": Counter(rows.verdict_records(joined)),
        "statements": Counter(rows.statement_rows(joined)),
        "refused": joined.refused,
        "tally": joined.tally,
        "erased": (joined.erased, changes.erased),
    }


def _named(table: Any, texts: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The rows of a table of a message, with texts for the codes in columns of these names."""
    columns = [
        # An absent value is equal to no other, not even to itself.
        [texts[name][code] for code in column.tolist()]
        if name in texts
        else [None if value != value else value for value in column.tolist()]  # noqa: PLR0124
        for name, column in zip(table._fields, table, strict=True)
    ]
    return list(zip(*columns, strict=True))


def _verdicts(results: list[Joined]) -> Any:
    """Rows of calls; the last row of each call's verdict and of each statement; counts; sums of the cells."""
    calls, verdicts, statements = Counter[Any](), dict[Any, Any](), dict[Any, Any]()
    tally, cells, refused = Counter[str](), Counter[Any](), Counter[Any]()
    for joined in results:
        calls.update(rows.call_rows(joined) + rows.completion_rows(joined))
        verdicts |= {row[:2]: row for row in rows.verdict_rows(joined)}
        statements |= {row[:3]: row for row in rows.statement_rows(joined)}
        tally.update(joined.tally)
        refused.update((refusal.reason, refusal.call_id) for refusal in joined.refused)
        for code, minute, *counts in zip(*(column.tolist() for column in joined.changes.cells), strict=True):
            for column, count in enumerate(counts):
                cells[joined.changes.names[code], minute, column] += count
    return calls, verdicts, statements, tally, refused, {key: count for key, count in cells.items() if count}


def _closed_minutes(results: list[Grouped]) -> Any:
    """Every table of the minutes that closed, row by row, with names for codes."""
    found: dict[str, list[Any]] = {}
    for closed in (grouped.closed for grouped in results if grouped.closed is not None):
        texts = {
            "code": closed.names,
            "source": closed.sources,
            "error": closed.errors,
            "segment": closed.segments,
        }
        for table in ("trials", "values", "delays", "slices", "scores", "responses", "failed", "stratified", "facets"):
            found.setdefault(table, []).extend(_named(getattr(closed, table), texts))
        found.setdefault("marks", []).extend(closed.marks)
    read = [grouped.marks for grouped in results]
    found["read"] = [[one for part in read for one in part.accepted], [one for part in read for one in part.refused]]
    return found | {"duplicates": [sum(part.duplicates for part in read)]}


_TEXTS: Final = frozenset({"ids", "reasons", "retracts", "scorers"})


def _held_calls(state: dict[str, Any]) -> Any:
    """Held calls by their key, each with its statements; the rest as it is."""
    if "changes" in state["held"]:
        state = plain.unpack(plain.pack(Join.from_state(state, join_rules(SETTINGS)).state()))
    held = dict(state["held"])
    keys, calls, pool = held["keys"].tolist(), held["calls"], held["statements"]
    ids, outcome_ids = ids_of(calls["ids"]), ids_of(pool["ids"])
    rows = {name: column.tolist() for name, column in calls.items() if name != "ids"}
    by_key = {key: {"id": ids[at]} | {name: rows[name][at] for name in rows} for at, key in enumerate(keys)}
    for at, row in enumerate(held["owners"].tolist()):
        one = {name: column[at].item() for name, column in pool.items() if name not in _TEXTS}
        one |= {"id": outcome_ids[at], "reason": pool["reasons"].get(at), "retracts": pool["retracts"].get(at)}
        one["scorer"] = pool["scorers"].get(at)
        by_key[keys[row]].setdefault("statements", []).append(one)
    for row, error in held["errors"].items():
        by_key[keys[row]]["error"] = error
    names = {name: held[name] for name in ("sources", "authors")}
    return state | {"held": by_key, **names, "waiting": waiting_of(state["waiting"])}


def _found(results: list[Any]) -> Any:
    """What the minutes led to, without the minutes; of what replaces what was before (suspicions), the last."""
    looks = [result.suspicions for result in results if result.suspicions is not None]
    effects = {group: effect for result in results for group, effect in result.design_effects}
    return {"suspicions": looks[-1:], "design_effects": effects} | {
        name: [one for result in results for one in getattr(result, name)]
        for name in results[0]._fields
        if name not in {"closed", "open_alerts", "suspicions", "design_effects"}
    }


SETTINGS: Final = Settings.model_validate(
    {
        "join": {"horizon": "24h", "orphan_wait": "1h"},
        "task": {"triage": {"horizon": "12h", "silence": "failure", "segments": ["long"]}},
        "verdict": {"precedence": ["human_review"], "source": {"judge": {"pass_at": 0.5}}},
        "drift": {"warmup": "0s", "new_normal_after": "1d", "sources": ["human_review", "judge", "user_feedback"]},
        "routing": {"every": "6h"},
    }
)

CONTRACTS: Final = ContractSet([contract({"type": "latency", "max": 500}, {"type": "session_budget", "calls": 2})])
JOINING: Final = Joining(
    segments=counted_segments(SETTINGS),
    judge=judge_of(SETTINGS, CONTRACTS),
    watched=frozenset(SETTINGS.drift.sources),
    session_book=session_book_of(SETTINGS, CONTRACTS),
)
STEPS: Final[dict[str, Step]] = {
    "sessions": Step(
        partial(sessions_step, session_rules(SETTINGS), joining=JOINING),
        Stream.of_sessions,
        said,
        shown=resolved,
        content=held_sessions,
    ),
    "join": Step(
        partial(join_step, join_rules(SETTINGS), joining=JOINING), Stream.arrivals, _verdicts, _joined, _held_calls
    ),
    "groups": Step(
        partial(groups_step, group_caps(SETTINGS)),
        lambda source: [("groups", joined.changes) for _, joined in source.out_of("join")],
        _closed_minutes,
    ),
    "rates": Step(
        lambda keeping: partial(RatesLogic, keeping),
        _cells,
        lambda results: results[-1],
        content=cells_by_key,
        in_sink=True,
    ),
    "drift": Step(
        partial(drift_step, drift_settings(SETTINGS)),
        lambda source: [("drift", grouped.closed) for _, grouped in source.out_of("groups") if grouped.closed],
        _found,
    ),
    "alerting": Step(
        partial(alerting_step, alert_settings(SETTINGS)),
        lambda source: [("alerting", found) for _, found in source.out_of("drift")],
        _found,
    ),
    "routing": Step(
        partial(routing_step, routing_settings(SETTINGS)),
        lambda source: [("routing", watched) for _, watched in source.out_of("alerting")],
        list,
    ),
    "trust": Step(
        partial(trust_step, trust_settings(SETTINGS)),
        lambda source: [("trust", watched) for _, watched in source.out_of("alerting")],
        list,
    ),
}
"""By the name of the step in errors and in the dataflow. Each is fed by the one before it, so rows hold no messages."""
