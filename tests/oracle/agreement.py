"""Compares what the fast join gave with the slow oracle: every row and every count."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from models.join.contents import UNKNOWN_NAME
from models.stats.delay_distribution import delay_bucket
from models.stats.minute_delays import bucket_of
from models.stats.quantile_sketch import value_bucket
from oracle.by_trait import facet_trials, opinion_trials
from oracle.direct import Direct
from oracle.held import trials_of
from oracle.histories import History
from oracle.ledger import opinions
from oracle.replay import Oracle, hash_of

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
PIPELINE = (
    *("records", "calls", "completed", "attempts", "outcomes", "duplicates", "waiting"),
    *("orphans", "late", "conflicts", "dead_letters"),
)
NAMES = {
    "source": "of another source",
    "author": "of another author",
    "retracts": "'retracts'",
    "same_id": 'same_id = "revises"',
    "outcome_id": "no outcome of this call has this outcome_id",
}
"""The words of details that name a field or a setting."""
VERDICTS = ("successes", "failures", "expired")


def agree(history: History, oracle: Oracle, direct: Direct) -> None:
    """Raise AssertionError with the first difference."""
    counters = oracle.counters()
    assert {name: direct.tally[name] for name in PIPELINE + VERDICTS} == {n: counters[n] for n in PIPELINE + VERDICTS}
    assert direct.dead == Counter((dead.reason, dead.call_id) for dead in oracle.dead())
    named = zip(oracle.dead(), oracle.named(), strict=True)
    assert Counter((call_id, names_in(detail)) for call_id, detail in direct.details.elements()) == Counter(
        (dead.call_id, name) for dead, name in named if name is not None and dead.outcome_id is not None
    )

    calls = {(row["call_id"], row["occurred_at"]): row for row in oracle.calls_rows() if not row["attempt"]}
    assert calls.keys() == direct.calls.keys()
    for key, row in calls.items():
        carried = (row["session_id"], row["latency_ms"], row["cost_usd"], row["tokens"], row["error"])
        assert direct.calls[key][6:11] == carried
        assert json.loads(direct.calls[key][11] or "{}") == row["attrs"]
        nothing = (*key, "pending", None, None, None, 0, 0)
        expected = ("verdict", "score", "verdict_source", "verdict_at", "statements", "revisions")
        assert direct.verdicts.get(key, nothing)[2:] == tuple(row[name] for name in expected)

    own = ("call_id", "occurred_at", "attempt", "model", "config", "latency_ms", "cost_usd", "error")
    attempts = [tuple(row[name] for name in own) for row in oracle.calls_rows() if row["attempt"]]
    assert Counter(direct.attempts.values()) == Counter(attempts)

    statements = Counter(
        (
            r["call_id"],
            r["outcome_id"],
            r["edition"],
            r["source"],
            r["author"],
            r["occurred_at"],
            r["action"],
            r["success"],
            r["score"],
            r["reason"],
            r["scorer"],
            r["stands"],
        )
        for r in oracle.statements_rows()
    )
    assert Counter((row[0], *row[2:]) for row in direct.statements.values()) == statements

    newest = oracle.newest_verdicts()
    assert direct.newest.keys() == newest.keys()
    for call_id, row in newest.items():
        got = direct.newest[call_id]
        for name in (
            "seq",
            "task_type",
            "model",
            "config",
            "verdict",
            "score",
            "source",
            "outcome_id",
            "reason",
            "age_s",
        ):
            assert got[name] == row[name], name

    cells: Counter[tuple[object, ...]] = Counter()
    for row in oracle.rates_rows("1h"):
        group, hour = (row["task_type"], row["model"], row["config"]), row["window_start"] // 3_600_000_000
        for name in ("calls", "successes", "failures", "expired"):
            cells[group, hour, name] += row[name]
        cells[group, hour, "cost"] += row["cost_nano"]
    mine: Counter[tuple[object, ...]] = Counter()
    for (group, minute, name), count in direct.cells.items():
        mine[group, minute // 60, name] += count
    assert +mine == +cells

    of_segments: Counter[tuple[object, ...]] = Counter()
    for (group, segment, minute, name), count in direct.segment_cells.items():
        of_segments[group, segment, minute // 60, name] += count
    wanted: Counter[tuple[object, ...]] = Counter()
    for row in oracle.segment_rates_rows("1h"):
        group, hour = (row["task_type"], row["model"], row["config"]), row["window_start"] // 3_600_000_000
        for name, column in (*((name, name) for name in ("calls", *VERDICTS)), ("cost", "cost_nano")):
            wanted[group, row["segment"], hour, name] += row[column]
    assert +of_segments == +wanted

    # What each source says, since when, in its last word and however it came about.
    assert all(count >= 0 for count in direct.opinions.values())
    assert +direct.opinions == Counter(
        (held.group, source, held.call.at // MINUTE_US, int(said.success), delay_of(said.decided_at - held.call.at))
        for held in oracle._calls
        for source, said in opinions(held.arrived(), held.rules).items()
    )

    assert +direct.delays == Counter(
        (group, at // HOUR_US, int(success), delay_of(us)) for group, at, success, us in oracle.learned()
    )
    assert all(count >= 0 for count in direct.delays.values())

    through = direct.watermark // MINUTE_US
    trials: Counter[tuple[object, ...]] = Counter()
    for group, minutes in oracle.trials().items():
        for minute, (good, bad) in minutes.items():
            if minute < through:
                trials[group, minute, "ts"] += good
                trials[group, minute, "tf"] += bad
    assert +Counter({key: n for key, n in direct.trials.items() if key[2] in {"ts", "tf"}}) == +trials

    dated = {key: n for key, n in oracle.dated().items() if key[1] < through and n}
    assert {key: n for key, n in direct.dated.items() if n} == dated

    assert direct.units == Counter({key: n for key, n in oracle.units().items() if key[1] < through})
    assert direct.facets == Counter({key: n for key, n in facet_trials(oracle).items() if key[1] < through})
    in_time = Counter({key: n for key, n in oracle.segment_trials().items() if key[1] < through})
    assert +direct.segment_trials == in_time

    said = Counter({key: n for key, n in opinion_trials(oracle, direct.watched).items() if key[1] < through})
    assert direct.opinion_trials == bucketed(
        said, lambda g, m, source, good, unit, late: (g, m, source, good, late, unit), place=4
    )

    responses = {
        name: Counter({key: n for key, n in counted.items() if key[1] < through})
        for name, counted in oracle.responses().items()
    }
    for name in ("statements", "trials"):
        assert +direct.responses[name] == bucketed(
            responses[name], lambda g, m, source, good, late: (g, m, source, good, late)
        )
    assert direct.responses["scores"] == responses["scores"]
    assert direct.responses["delays"] == bucketed(responses["delays"], lambda g, m, _, good, late: (g, m, good, late))
    assert direct.responses["slices"] == bucketed(
        responses["trials"], lambda g, m, source, good, _: (g, m, source, good)
    )
    usual = oracle.usual()
    errors = Counter(
        ((held.call.task_type, held.call.model, held.call.config), minute, held.call.error.split("\n")[0])
        for held in oracle._calls
        for minute, verdict, _ in trials_of(held)
        if held.call.error is not None
        and verdict == "failure"
        and (held.error_minute or 0) <= minute < through
        and usual.placed(held, held.group, minute)
    )
    errors += Counter(
        (held.group_of(attempt), minute, (attempt.error or "").split("\n")[0])
        for held in oracle._calls
        for attempt, _, minute in held.tried
        if minute < through and usual.placed(held, held.group_of(attempt), minute)
    )
    assert direct.responses["errors"] == errors
    assert direct.tried == Counter(
        (held.group_of(attempt), minute)
        for held in oracle._calls
        for attempt, _, minute in held.tried
        if minute < through and usual.placed(held, held.group_of(attempt), minute)
    )

    values = Counter(
        {
            (group, minute, at, hash_of(call_id) + attempt, metric, value): count
            for (group, minute, at, call_id, attempt, metric, value), count in oracle.values().items()
            if minute < through
        }
    )
    assert direct.values == values
    latencies = Counter(
        (group, at // MINUTE_US, value_bucket_of(value))
        for (group, _, at, _, _, metric, value) in oracle.values(late=True).elements()
        if metric == "latency_ms"
    )
    assert +direct.latencies == latencies
    named = zip(oracle.dead(), oracle.named(), strict=True)
    of_calls = Counter(field for dead, field in named if dead.reason == "conflict" and dead.outcome_id is None)
    differing: Counter[str | None] = Counter(direct.differing)
    if history.rules.aliases:  # one sent name in 32 has the hint of another, so the detail is of names, not of which
        differing, of_calls = of_names(differing), of_names(of_calls)
    assert differing == of_calls


@cache
def delay_of(us: int) -> int:
    """The bucket of a delay."""
    return int(delay_bucket(np.array([max(us, 0)]))[0])


@cache
def minutes_bucket(minutes: int) -> int:
    """That of a delay in minutes."""
    return int(bucket_of(np.array([minutes]))[0])


@cache
def value_bucket_of(value: float) -> int:
    """That of a number."""
    return int(value_bucket(np.array([value]))[0])


def of_names(fields: Counter[str | None]) -> Counter[str | None]:
    """Task type, model and config counted together."""
    together: Counter[str | None] = Counter()
    for field, count in fields.items():
        together[UNKNOWN_NAME if field in UNKNOWN_NAME.replace(",", "").split() else field] += count
    return together


def names_in(detail: str) -> str:
    """The field or setting that a detail names, as the oracle has it."""
    (name,) = (name for name, words in NAMES.items() if words in detail)
    return name


def bucketed(
    counted: Counter[tuple[Any, ...]], key: Callable[..., tuple[Any, ...]], place: int = -1
) -> Counter[tuple[Any, ...]]:
    """Counts of (group, minute, source, success, minutes) under another key, minutes, at `place`, as their bucket."""
    found: Counter[tuple[Any, ...]] = Counter()
    for columns, count in counted.items():
        rest = list(columns)
        minutes = rest.pop(place)
        found[key(*rest, minutes_bucket(minutes))] += count
    return found
