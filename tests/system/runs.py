"""Runs the command line as users do, over a synthetic history, and reads what it left."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import duckdb

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = (
    "verdicts.jsonl",
    "alerts.jsonl",
    "recommendations.jsonl",
    "trust.jsonl",
    "dead_letters.jsonl",
    "checks.jsonl",
)
SETTINGS = {
    "AFTERCALL_RECOVERY__EPOCH": "1s",
    "AFTERCALL_RECOVERY__SEGMENT_KB": "1",
    "AFTERCALL_SNAPSHOT__EVERY": "1s",
}
"""Epochs and snapshots as often as settings allow, so that a kill finds something half done."""
PUBLISH = {"AFTERCALL_CONTRACTS__PUBLISH": "true"}
"""With which `checks.jsonl` is written."""
EXCEPT = {
    "dead_letters": ("received_at",),
    "marks": ("received_at",),
    "pipeline": ("version", "written_at", "positions"),
}
"""What reference section 4 leaves out where two runs are compared."""

_START = datetime(2025, 3, 1, tzinfo=UTC)
_DAYS_S = 6 * 86_400.0
_SOURCES = ("user_feedback", "human_review", "judge", "downstream", "nobody_listed")
_BROKEN = ("{", '"text"', "{}", '{"call_id":"x","occurred_at":"soon"}')


class History(NamedTuple):
    """The two files of a history."""

    calls: Path
    outcomes: Path


def history(folder: Path, *, calls: int, seed: int = 7) -> History:
    """Write six days of calls, and outcomes: revised, retracted, repeated, contradicted, orphaned, malformed, too late.

    Some calls come in parts, or after failed attempts. They belong to a horizon of 12 h. The success rate halves after
    four days.
    """
    draw = random.Random(seed)
    calls_written, outcomes_written = [], []
    for number in range(calls):
        at = draw.uniform(0, _DAYS_S)
        call = _call(draw, f"call-{number}", at)
        calls_written += _with_repeats(draw, at, call, {**call, "model": "another"})
        calls_written += _completions(draw, at, call)
        for index in range(draw.choice((0, 1, 1, 1, 2, 3))):
            later = min(at + draw.choice((-5.0, 1.0, 60.0, 3_600.0, 43_200.0, 86_400.0)) * draw.random(), _DAYS_S)
            outcome = _outcome(draw, call["call_id"], index, later)
            outcomes_written += _with_repeats(draw, later, outcome, {**outcome, "source": "contract", "success": True})
    for number in range(calls // 50):
        at = draw.uniform(0, _DAYS_S)
        outcomes_written.append((at, json.dumps(_outcome(draw, f"nobody-{number}", 0, at))))
        outcomes_written.append((at, draw.choice(_BROKEN)))
        calls_written.append((at, draw.choice(_BROKEN)))
    outcomes_written += _said(random.Random(seed + 1), calls)
    made = History(folder / "calls.jsonl", folder / "outcomes.jsonl")
    for path, lines in ((made.calls, calls_written), (made.outcomes, outcomes_written)):
        path.write_text("".join(line + "\n" for _, line in sorted(lines)))
    return made


def _call(draw: random.Random, call_id: str, at: float) -> dict[str, Any]:
    model = draw.choice(("m-1", "m-2", "m-3"))
    return {
        "call_id": call_id,
        "occurred_at": _time(at),
        "task_type": draw.choice(("summarise", "route")),
        "model": model,
        "config": draw.choice(("v1", "v2")) if at > _DAYS_S / 2 else "v1",
        "latency_ms": round(draw.lognormvariate(6, 1), 1),
        "cost_usd": round(draw.random() / 100, 6),
        **_carried(int(call_id.partition("-")[2])),
        **({"error": "timeout"} if draw.random() < 0.02 else {}),
        **({"attempts": [{"model": "m-1", "error": "429", "cost_usd": 0.001}]} if draw.random() < 0.03 else {}),
    }


def _carried(number: int) -> dict[str, Any]:
    """What some calls carry, tools among it; not drawn, so that nothing else of a history depends on it."""
    if number % 3:
        return {"session_id": f"session-{number // 90}"} if number % 3 == 1 else {}
    tools = [
        {"name": "search", "empty": number % 4 == 0, "items": number % 5, "documents": [{"id": f"d{number % 9}"}]},
        {"name": f"tool-{number % 150}", "ok": number % 7 > 0, "attempts": 1 + number % 2, "latency_ms": 12.5},
    ]
    return {"tool_calls": tools, "tokens_in": 600, "parent_call_id": f"call-{number // 2}"}


def _completions(draw: random.Random, at: float, call: dict[str, Any]) -> list[tuple[float, str]]:
    """Further records of some calls: at their end, or a second too early, with an error for the tenth of them."""
    if draw.random() > 0.05:
        return []
    later = min(max(at + draw.choice((0.0, 2.0, 600.0, -1.0)), 0.0), _DAYS_S)
    filled = {"tokens": 9, "session_id": "s", "attempts": [{"model": "m-2", "config": "v0", "error": "timeout"}]}
    filled |= {"error": "timeout"} if draw.random() < 0.1 else {}
    if int(call["call_id"].partition("-")[2]) % 3 == 1:
        filled |= {"tool_calls": [{"name": "late", "error": "timeout"}], "rollout": {"id": "r", "arm": "canary"}}
    return [(later, json.dumps({**filled, **call, "occurred_at": _time(later)}))]


def _outcome(draw: random.Random, call_id: str, index: int, at: float) -> dict[str, Any]:
    outcome = {
        "outcome_id": f"o{index}",
        "call_id": call_id,
        "occurred_at": _time(at),
        "source": draw.choice(_SOURCES),
    }
    if index and draw.random() < 0.3:
        return {**outcome, "action": "retract", **({"retracts": "o0"} if draw.random() < 0.5 else {})}
    good = draw.random() < (0.9 if at < _DAYS_S * 2 / 3 else 0.45)
    return {**outcome, "success": good} if draw.random() < 0.8 else {**outcome, "score": 0.9 if good else 0.1}


def _said(draw: random.Random, calls: int) -> list[tuple[float, str]]:
    """Outcomes of sessions, some of which are repeated, contradicted or taken back."""
    lines = []
    for number in range(calls // 20):
        at = draw.uniform(0, _DAYS_S)
        session = {"session_id": f"session-{draw.randrange(calls // 90 + 2)}"}
        thumb = {**_outcome(draw, "", number % 9, at), **session, "source": "user_feedback"}
        del thumb["call_id"]
        scope = draw.choice(("last", "all", "root")) if "action" not in thumb else None
        thumb |= {} if scope is None else {"scope": scope}
        lines += _with_repeats(draw, at, thumb, {**thumb, "source": "judge"})
    return lines


def _with_repeats(
    draw: random.Random, at: float, record: dict[str, Any], other: dict[str, Any]
) -> list[tuple[float, str]]:
    lines = [(at, json.dumps(record))]
    if draw.random() < 0.03:
        lines.append((at, json.dumps(record)))
    if draw.random() < 0.01:
        lines.append((at, json.dumps(other)))
    return lines


def _time(at: float) -> str:
    return (_START + timedelta(seconds=at)).isoformat()


def environment(**more: str) -> dict[str, str]:
    """This process's environment with the settings above; paths as in a checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AFTERCALL_")}
    return kept | SETTINGS | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "sdk")))} | more


def command(made: History, out: Path, workers: int = 1) -> list[str]:
    """What a user types to replay."""
    files = ["--calls", str(made.calls), "--outcomes", str(made.outcomes)]
    return [
        *("aftercall", "replay", *files, "--out", str(out)),
        *("--horizon", "12h", "--workers", str(workers)),
    ]


def replay(made: History, out: Path, workers: int = 1, settings: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run the command to its end; it must succeed and print nothing on standard error."""
    from system.commands import aftercall  # which needs `environment`

    done = aftercall(out.parent, *command(made, out, workers)[1:], **settings)
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)


class Left(NamedTuple):
    """What a run left, without what two runs may differ in; rows and lines as multisets."""

    tables: dict[str, Counter[tuple[Any, ...]]]
    lines: dict[str, Counter[str]]
    newest_verdicts: dict[str, str]


def left(out: Path) -> Left:
    """Read everything in an output folder."""
    tables = {}
    with _opened(out) as snapshot:
        names = snapshot.execute("SELECT table_name FROM information_schema.tables").fetchall()
        for (table,) in names:
            leave = f"EXCLUDE ({', '.join(EXCEPT[table])})" if table in EXCEPT else ""
            tables[table] = Counter(snapshot.execute(f"SELECT * {leave} FROM {table}").fetchall())
    lines = {name: (out / name).read_text().splitlines() if (out / name).exists() else [] for name in OUTPUTS}
    newest: dict[str, tuple[int, str]] = {}
    for line in lines["verdicts.jsonl"]:
        verdict = json.loads(line)
        if verdict["seq"] >= newest.get(verdict["call_id"], (-1, ""))[0]:
            newest[verdict["call_id"]] = (verdict["seq"], line)
    return Left(
        tables,
        {name: Counter(of_file) for name, of_file in lines.items()},
        {call_id: line for call_id, (_, line) in newest.items()},
    )


def assert_same(found: Left, expected: Left) -> None:
    """Name the table or file that differs, and the first rows that do."""
    assert found.tables.keys() == expected.tables.keys()
    for table, rows in expected.tables.items():
        _same(f"table {table}", found.tables[table], rows)
    for name, lines in expected.lines.items():
        _same(f"file {name}", found.lines[name], lines)
    assert found.newest_verdicts == expected.newest_verdicts


def _same(where: str, found: Counter[Any], expected: Counter[Any]) -> None:
    if found != expected:
        more, fewer = list((found - expected).items())[:3], list((expected - found).items())[:3]
        raise AssertionError(f"{where}: not expected {more}; missing {fewer}")


def sums_that_fail(out: Path) -> list[str]:
    """The sums of reference section 4 that do not hold in the newest snapshot; none where there is no snapshot yet."""
    if not (out / "outcomes.duckdb").exists():
        return []
    with _opened(out) as snapshot:
        (row,) = snapshot.execute(
            "SELECT * EXCLUDE (version, written_at, watermark, positions) FROM pipeline"
        ).fetchall()
        columns = snapshot.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'pipeline' "
            "AND column_name NOT IN ('version', 'written_at', 'watermark', 'positions') ORDER BY ordinal_position"
        ).fetchall()
        count = dict(zip((name for (name,) in columns), row, strict=True))
        verdicts = dict(snapshot.execute("SELECT verdict, count(*) FROM calls GROUP BY verdict").fetchall())
        verdicts_of = ", ".join(f"sum({name})" for name in ("calls", "pending", "successes", "failures", "expired"))
        grains = snapshot.execute(f"SELECT grain, {verdicts_of} FROM rates GROUP BY grain").fetchall()
        (letters,) = snapshot.execute("SELECT count(*) FROM dead_letters").fetchall()
    tried = count["calls"] + count["attempts"]
    judged = [count[name] for name in ("pending", "successes", "failures", "expired")]
    sums = {
        "records": (
            count["records"],
            sum(count[n] for n in ("calls", "completed", "outcomes", "marks", "duplicates", "waiting", "dead_letters")),
        ),
        "calls": (tried, sum(judged)),
        "table calls": (judged, [verdicts.get(name, 0) for name in ("pending", "success", "failure", "expired")]),
        "table dead_letters": (count["dead_letters"], letters[0]),
        **{f"table rates, {grain}": ([tried, *judged], list(totals)) for grain, *totals in grains},
    }
    return [f"{name}: {one} is not {other}" for name, (one, other) in sums.items() if one != other]


def _opened(out: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str((out / "outcomes.duckdb").resolve()), read_only=True)
