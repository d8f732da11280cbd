"""Replays recorded sets and compares every count with polars: `make check-real`.

    python -m benchmarks.check_real [--only NAME] [--permutations N] [--write]

The exit code is 1 if a count differs, which is printed, and 0 with a sentence if the sets are absent. Then the rows of
llmdrift are permuted, and the false alarms on them are counted (`benchmarks.real_permutations`; some minutes).
`--write` renews the generated block of docs/results.md, benchmarks/results/real.json and permutations.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import duckdb

from aftercall.durations import format_duration
from benchmarks.real_changes import Alert, judge, plain
from benchmarks.real_permutations import FAST, PERMUTATIONS, SLOW, Stream, lesson
from benchmarks.real_reference import CALL_COLUMNS, COUNTS, Reference
from benchmarks.real_report import markdown, written
from benchmarks.real_sets import DATA, ROOT, SETS, RealSet, Rules
from flows.replay import Replay, run

RESULTS = ROOT / "benchmarks" / "results"
PERMUTED = "permutations"
SHOWN = 5
RATE_KEYS = ("task_type", "model", "config", "grain", "window_start")
Rows = dict[tuple[Any, ...], tuple[Any, ...]]


@dataclass(frozen=True)
class Checked:
    """One replay: its lessons for the report, and where it differs from the reference."""

    lessons: dict[str, Any]
    differences: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay, compare, report; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_real", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[*(recorded.name for recorded in SETS), PERMUTED], help="only this set")
    parser.add_argument("--permutations", type=int, default=PERMUTATIONS, help="how many, of each pace")
    parser.add_argument("--write", action="store_true", help="renew docs/results.md and benchmarks/results/")
    options = parser.parse_args(arguments)
    if options.write and options.only:
        parser.error("--write needs all sets; leave out --only")
    lessons: list[dict[str, Any]] = []
    differences: list[str] = []
    for recorded in SETS:
        name = recorded.name
        if options.only not in {None, name}:
            continue
        with tempfile.TemporaryDirectory(prefix="aftercall-real-") as workspace:
            files = recorded.files(Path(workspace))
            if files is None:
                print(f"{name}: skipped, {DATA.name}/{recorded.folder or name} is not beside this checkout")
                continue
            for replay, rules in recorded.rules.items():
                checked = _check(recorded, replay, rules, files, Path(workspace) / replay)
                verdict = "equal" if not checked.differences else f"{len(checked.differences)} DIFFERENCES"
                print(f"{name}, {replay} (horizon {format_duration(rules.horizon)}): {verdict}", flush=True)
                lessons.append(checked.lessons)
                differences += [f"{name}, {replay}: {line}" for line in checked.differences]
    permuted = _permuted(options.permutations) if options.only in {None, PERMUTED} and not differences else []
    if not lessons and not permuted:
        print("check-real: no recorded set is beside this checkout, so nothing was checked")
        return 0
    if differences:
        print("\n".join(["the replay differs from polars:", *differences]), file=sys.stderr)
        return 1
    print("\n" + markdown(lessons, permuted))
    if options.write and len(lessons) < sum(len(recorded.rules) for recorded in SETS):
        print("check-real: nothing was written, as sets were skipped (put all of them beside this checkout)")
    elif options.write:
        RESULTS.mkdir(exist_ok=True)
        for name, found in (("real", lessons), (PERMUTED, permuted)):
            (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        print(f"wrote {written(lessons, permuted)} and {RESULTS.relative_to(ROOT)}")
    return 0


def _permuted(count: int) -> list[dict[str, Any]]:
    """The lessons of the permutations of llmdrift, at its own pace and at a slower one, without configs and with."""
    found = []
    for pace, named in product((FAST, SLOW), (False, True)):
        stream = Stream.read(pace, named=named)
        if stream is None:
            print(f"{PERMUTED}: skipped, as llmdrift is")
            return []
        found.append(lesson(stream, count))
        shown = f"{format_duration(pace)}, configs {'named' if named else 'hidden'}"
        print(f"{PERMUTED}, {count} at a call every {shown}: {found[-1]['cpu_s']} s", flush=True)
    return found


def _check(recorded: RealSet, replay: str, rules: Rules, files: tuple[Path, Path], out: Path) -> Checked:
    calls, outcomes = files
    run(Replay([calls], [outcomes], out, rules.settings()))
    expected = Reference.of(calls, outcomes, rules)
    with duckdb.connect(str(out / "outcomes.duckdb"), read_only=True) as snapshot:
        differences = _compare(snapshot, expected)
        revisions = dict(snapshot.execute(
            "SELECT revisions, count(*) FROM calls WHERE revisions > 0 GROUP BY revisions ORDER BY revisions"
        ).fetchall())  # fmt: skip
    alerts = _opened(out)
    lessons = {
        "set": recorded.name,
        "what": recorded.what,
        "replay": replay,
        "rules": _plain(rules),
        "counters": expected.counters,
        "groups": expected.rates.select("task_type", "model", "config").n_unique(),
        "dead_letters": expected.letters,
        "delays": _delays(expected),
        "several_statements": expected.calls.filter(expected.calls["statements"] > 1).height,
        "revisions": {str(times): calls for times, calls in revisions.items()},
        "alerts": _tally(alerts),
        "changes": _changes(recorded, alerts),
    }
    return Checked(lessons, differences)


# --- comparison ------------------------------------------------------------------------------------------------------


def _compare(snapshot: duckdb.DuckDBPyConnection, expected: Reference) -> list[str]:
    columns = ", ".join(CALL_COLUMNS).replace("verdict_at", "epoch_us(verdict_at)")
    calls = _fetched(snapshot, f"SELECT call_id, {columns} FROM calls", keys=1)  # noqa: S608 - constants
    counts = ", ".join(COUNTS).replace("cost_nano", "CAST(round(coalesce(cost_usd, 0) * 1e9) AS BIGINT)")
    keys = ", ".join(RATE_KEYS).replace("window_start", "epoch_us(window_start)")
    rates = _fetched(snapshot, f"SELECT {keys}, {counts} FROM rates", keys=len(RATE_KEYS))  # noqa: S608 - constants
    names = ", ".join(expected.counters)
    (counters,) = snapshot.execute(f"SELECT {names} FROM pipeline").fetchall()  # noqa: S608 - constants
    letters = snapshot.execute("SELECT reason, count(*) FROM dead_letters GROUP BY reason").fetchall()
    expected_letters: Rows = {(reason,): (count,) for reason, count in expected.letters.items()}
    return [
        *_differences("pipeline", tuple(expected.counters), {(): counters}, {(): tuple(expected.counters.values())}),
        *_differences("dead_letters", ("count",), {(reason,): (n,) for reason, n in letters}, expected_letters),
        *_differences("rates", COUNTS, rates, _keyed(expected.rates.rows(), len(RATE_KEYS))),
        *_differences("calls", CALL_COLUMNS, calls, _keyed(expected.calls.rows(), 1)),
    ]


def _fetched(snapshot: duckdb.DuckDBPyConnection, query: str, keys: int) -> Rows:
    rows = snapshot.execute(query).fetchall()
    found = _keyed(rows, keys)
    assert len(found) == len(rows), f"rows with the same key: {query}"
    return found


def _keyed(rows: Sequence[tuple[Any, ...]], keys: int) -> Rows:
    return {row[:keys]: row[keys:] for row in rows}


def _differences(table: str, columns: Sequence[str], got: Rows, expected: Rows) -> list[str]:
    """One line per row that differs, for the first `SHOWN` of them, and the number of the others."""
    lines = []
    for key in sorted(got.keys() | expected.keys(), key=repr):
        here, there = got.get(key), expected.get(key)
        if here == there:
            continue
        if here is None or there is None:
            lines.append(f"{table} {key}: {'missing' if here is None else 'polars has no such row'}")
            continue
        pairs = zip(columns, here, there, strict=True)
        lines.append(f"{table} {key}: " + ", ".join(f"{c} {h!r}, polars {t!r}" for c, h, t in pairs if h != t))
    return lines[:SHOWN] + ([f"{table}: and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])


# --- lessons ---------------------------------------------------------------------------------------------------------


def _plain(rules: Rules) -> dict[str, Any]:
    spans = {name: value for name, value in vars(rules).items() if isinstance(value, timedelta)}
    return {name: format_duration(span) for name, span in spans.items()} | {
        "precedence": list(rules.precedence),
        "silence": dict(rules.silence),
    }


def _delays(expected: Reference) -> dict[str, dict[str, float]]:
    """Quantiles of the outcomes' delays in seconds, by verdict; of all outcomes in the files, accepted or not."""
    found = {}
    for success, name in ((True, "success"), (False, "failure")):
        delays = expected.statements.filter(expected.statements["success"] == success)["delay_s"].drop_nulls()
        if len(delays):
            quantiles = {f"p{round(q * 100)}": delays.quantile(q) or 0.0 for q in (0.1, 0.5, 0.9, 0.99)}
            found[name] = {"n": len(delays), **quantiles, "max": float(delays.max())}  # type: ignore[arg-type]
    return found


def _opened(out: Path) -> list[Alert]:
    """Each alert on a success rate as it was opened, from the file; the snapshot holds its latest state."""
    file = out / "alerts.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    opened = [r for r in records if r["metric"] == "success_rate" and r["state"] == "opened"]
    return [
        Alert(
            *(record[name] for name in ("task_type", "model", "config", "direction")),
            *(datetime.fromisoformat(record[name]) for name in ("opened_at", "changed_at")),
            *(record[name] for name in ("baseline", "current")),
        )
        for record in opened
    ]


def _tally(alerts: list[Alert]) -> dict[str, int]:
    """Numbers of alerts by how wide their scope is, and their direction."""
    return dict(sorted(Counter(f"{alert.width} {alert.direction}" for alert in alerts).items()))


def _changes(recorded: RealSet, alerts: list[Alert]) -> dict[str, Any] | None:
    """The labelled changes and the alerts on them; None if the set has no labels."""
    labels = DATA / (recorded.folder or recorded.name) / "labels.json"
    return plain(*judge(json.loads(labels.read_text()), alerts)) if labels.exists() else None


if __name__ == "__main__":
    sys.exit(main())
