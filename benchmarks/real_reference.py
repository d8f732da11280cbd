"""Computes the expected tables of a replay with polars, straight from the files.

It imports nothing from the pipeline. It follows reference section 2 for two files whose records are unique, in
event-time order, and retract nothing, which `Reference` checks; so the whole join is a few sorted columns instead of a
state machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.real_sets import Rules

NEVER = -(2**63)
DEFAULT_PASS_AT = 0.7
GRAINS = {"1h": 3_600_000_000, "1d": 86_400_000_000}
COUNTS = ("calls", "resolved", "successes", "failures", "expired", "pending", "cost_nano")
CALL_COLUMNS = ("verdict", "verdict_source", "score", "verdict_at", "statements", "revisions")

_TEXT, _NUMBER = pl.String(), pl.Float64()
_CALLS = dict.fromkeys(("call_id", "occurred_at", "task_type", "model", "config", "error"), _TEXT) | {
    "cost_usd": _NUMBER
}
_OUTCOMES = dict.fromkeys(
    ("outcome_id", "call_id", "occurred_at", "source", "action", "retracts", "call_occurred_at"), _TEXT
) | {"success": pl.Boolean(), "score": _NUMBER}


@dataclass(frozen=True)
class Reference:
    """The expected tables of one replay, sorted by their keys."""

    statements: pl.DataFrame
    """All outcomes: `delay_s` (null without a call), `success`, `fate` (accepted, late, orphan or waiting)."""
    calls: pl.DataFrame
    rates: pl.DataFrame
    counters: dict[str, int]
    letters: dict[str, int]

    @classmethod
    def of(cls, calls_file: Path, outcomes_file: Path, rules: Rules) -> Reference:
        """Read the files and judge all calls under `rules`.

        Raises:
            ValueError: the files are not of the simple kind that this reference supports.
        """
        calls, outcomes = _read(calls_file, _CALLS), _read(outcomes_file, _OUTCOMES)
        _refuse_what_is_not_simple(calls, outcomes)
        calls = calls.with_columns(config=pl.col("config").fill_null("default"))
        calls, outcomes, last = _with_watermarks(calls, outcomes)
        statements = _fates(calls, outcomes, last, rules)
        judged = _judged(calls, statements, last, rules)
        fates = dict(statements.group_by("fate").len().rows())
        verdicts = dict(judged.group_by("verdict").len().rows())
        letters = {reason: fates[reason] for reason in ("late", "orphan") if reason in fates}
        counters = {
            "records": calls.height + outcomes.height,
            "calls": calls.height,
            "outcomes": fates.get("accepted", 0),
            "completed": 0,
            "attempts": 0,
            "duplicates": 0,
            "waiting": fates.get("waiting", 0),
            "orphans": fates.get("orphan", 0),
            "late": fates.get("late", 0),
            "conflicts": 0,
            "dead_letters": sum(letters.values()),
            "pending": verdicts.get("pending", 0),
            "successes": verdicts.get("success", 0),
            "failures": verdicts.get("failure", 0),
            "expired": verdicts.get("expired", 0),
        }
        rates = pl.concat([_rates(judged, grain) for grain in GRAINS])
        return cls(statements, judged.select("call_id", *CALL_COLUMNS).sort("call_id"), rates, counters, letters)


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _read(path: Path, schema: dict[str, Any]) -> pl.DataFrame:
    frame = pl.read_ndjson(path, schema=schema)
    at = pl.col("occurred_at").str.to_datetime(time_unit="us", time_zone="UTC").dt.epoch("us")
    return frame.with_columns(at=at).with_row_index("line")


def _refuse_what_is_not_simple(calls: pl.DataFrame, outcomes: pl.DataFrame) -> None:
    simple = {
        "there are records": bool(calls.height and outcomes.height),
        "calls are in event-time order": calls["at"].is_sorted(),
        "outcomes are in event-time order": outcomes["at"].is_sorted(),
        "ids of calls are unique": calls["call_id"].n_unique() == calls.height,
        "ids of outcomes are unique": outcomes.select("call_id", "outcome_id").n_unique() == outcomes.height,
        "nothing is retracted": outcomes["action"].null_count() == outcomes["retracts"].null_count() == outcomes.height,
        "call_occurred_at is absent": outcomes["call_occurred_at"].null_count() == outcomes.height,
    }
    for rule, holds in simple.items():
        if not holds:
            message = f"reference: needs files in which {rule}; these are not (extend benchmarks/real_reference.py)"
            raise ValueError(message)


def _with_watermarks(calls: pl.DataFrame, outcomes: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Both frames with `pos` in the reading order and `wm`, the watermark before the record; and the last watermark."""
    files = [frame.select("at", "line", file=pl.lit(number, pl.Int8)) for number, frame in enumerate((calls, outcomes))]
    order = pl.concat(files).sort("at", "file", "line").with_row_index("pos")
    clocks = []
    for number in range(len(files)):
        of_file = pl.col("file") == number
        newest = pl.when(of_file).then("at").cum_max().forward_fill().shift(1).fill_null(NEVER)
        at_its_end = pl.col("pos") > pl.col("pos").filter(of_file).max()
        clocks.append(pl.when(at_its_end).then(None).otherwise(newest))
    order = order.with_columns(wm=pl.min_horizontal(clocks).cum_max())
    placed = [
        frame.join(order.filter(pl.col("file") == number).select("line", "pos", "wm"), on="line")
        for number, frame in enumerate((calls, outcomes))
    ]
    last = max(int(frame["at"].max()) for frame in (calls, outcomes) if frame.height)  # type: ignore[arg-type]
    return placed[0], placed[1], last


def _fates(calls: pl.DataFrame, outcomes: pl.DataFrame, last: int, rules: Rules) -> pl.DataFrame:
    """The outcomes with their fate: accepted, late, orphan or waiting."""
    horizon, lateness, wait = (_us(s) for s in (rules.horizon, rules.allowed_lateness, rules.orphan_wait))
    of_call = calls.select("call_id", call_at="at", call_pos="pos", call_wm="wm")
    both = outcomes.join(of_call, on="call_id", how="left")
    call_first = pl.col("call_pos") < pl.col("pos")
    held = call_first & (pl.col("wm") <= pl.col("call_at") + horizon + lateness)
    waited_for_it = (pl.col("call_pos") > pl.col("pos")) & (pl.col("call_wm") <= pl.col("at") + wait)
    fate = (
        pl.when(held & (pl.col("at") > pl.col("call_at") + horizon))
        .then(pl.lit("late"))
        .when(held | waited_for_it)
        .then(pl.lit("accepted"))
        .when(pl.lit(last) > pl.col("at") + wait)
        .then(pl.lit("orphan"))
        .otherwise(pl.lit("waiting"))
    )
    success = pl.col("success").fill_null(pl.col("score") >= DEFAULT_PASS_AT)
    delay_s = (pl.col("at") - pl.col("call_at")) / 1e6
    return both.with_columns(fate=fate, success=success, delay_s=delay_s)


def _judged(calls: pl.DataFrame, statements: pl.DataFrame, last: int, rules: Rules) -> pl.DataFrame:
    """The calls with their verdicts: by the first source in the precedence, otherwise by the newest statement."""
    horizon, lateness = _us(rules.horizon), _us(rules.allowed_lateness)
    rank = pl.col("source").replace_strict(
        list(rules.precedence), range(len(rules.precedence)), default=len(rules.precedence), return_dtype=pl.Int32
    )
    ledger = (
        statements.filter(pl.col("fate") == "accepted")
        .sort("call_id", "at", "outcome_id")
        .with_columns(rank=rank, stated=_verdict(pl.col("success")))
        .join(calls.select("call_id", failed=pl.col("error").is_not_null()), on="call_id", maintain_order="left")
    )
    # In ledger order, a statement decides if no earlier one has a higher rank, and does so until the next such one.
    decides = pl.col("rank") == pl.col("rank").cum_min()
    ledger = ledger.with_columns(verdict=pl.when(decides).then("stated").forward_fill().over("call_id"))
    decided = ledger.filter(decides.over("call_id")).group_by("call_id", maintain_order=True).last()
    change = pl.col("verdict") != pl.col("verdict").shift(1)
    ledgers = ledger.group_by("call_id", maintain_order=True).agg(
        statements=pl.len(),
        # The first change from pending is no revision; a change from the failure of the call itself is one.
        revisions=change.sum() + (pl.col("failed").first() & (pl.col("verdict").first() == "success")),
    )
    of_statement = decided.select("call_id", stated="verdict", stated_by="source", stated_at="at", stated_score="score")
    all_calls = calls.join(ledgers, on="call_id", how="left").join(of_statement, on="call_id", how="left")
    silence = pl.col("task_type").replace_strict(
        list(rules.silence), list(rules.silence.values()), default=None, return_dtype=pl.String
    )
    closed = pl.lit(last) > pl.col("at") + horizon + lateness
    has_statement, failed = pl.col("stated").is_not_null(), pl.col("error").is_not_null()
    silent = ~has_statement & ~failed & closed & silence.is_not_null()
    otherwise = pl.when(closed).then(silence.fill_null("expired")).otherwise(pl.lit("pending"))
    none = pl.lit(None)
    return all_calls.with_columns(
        pl.col("statements", "revisions").fill_null(0),
        verdict=pl.when(has_statement).then("stated").when(failed).then(pl.lit("failure")).otherwise(otherwise),
        verdict_source=pl.when(has_statement)
        .then("stated_by")
        .when(failed)
        .then(pl.lit("call"))
        .otherwise(pl.when(silent).then(pl.lit("silence")).otherwise(none)),
        score="stated_score",
        verdict_at=pl.when(has_statement)
        .then("stated_at")
        .when(failed)
        .then("at")
        .otherwise(pl.when(silent).then(pl.col("at") + horizon).otherwise(none)),
    )


def _verdict(success: pl.Expr) -> pl.Expr:
    return pl.when(success).then(pl.lit("success")).otherwise(pl.lit("failure"))


def _rates(judged: pl.DataFrame, grain: str) -> pl.DataFrame:
    def count(verdict: str) -> pl.Expr:
        return (pl.col("verdict") == verdict).sum().cast(pl.Int64)

    keys = ["task_type", "model", "config", "grain", "window_start"]
    window_us = GRAINS[grain]
    return (
        judged.with_columns(grain=pl.lit(grain), window_start=pl.col("at") // window_us * window_us)
        .group_by(keys)
        .agg(
            calls=pl.len().cast(pl.Int64),
            resolved=count("success") + count("failure"),
            successes=count("success"),
            failures=count("failure"),
            expired=count("expired"),
            pending=count("pending"),
            cost_nano=(pl.col("cost_usd").fill_null(0) * 1e9).round().cast(pl.Int64).sum(),
        )
        .sort(keys)
    )
