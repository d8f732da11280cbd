"""Analysts read the snapshot while it is published: never an error, never half of one, never an older one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from aftercall.times import MINUTE_US
from connectors.snapshot.store import SnapshotStore
from connectors.snapshot.versions import newest_version
from flows.dataflow.snapshot_messages import (
    AttemptRows,
    CallRows,
    CellChanges,
    Clock,
    CompletionRows,
    DeadLetterRows,
    Row,
    SnapshotMessage,
    StatementRows,
    Tally,
)
from flows.dataflow.snapshot_messages import VerdictRows as Verdicts
from flows.dataflow.snapshot_sink import SnapshotPartition, SnapshotSettings
from harness.other_duckdb import installed
from harness.waiting import HANG_S
from models.messages import CellDeltas, DelayDeltas, LatencyDeltas
from system.documents import blocks, document

AT = 1_760_000_000_000_000 // MINUTE_US * MINUTE_US
PUBLICATIONS, READERS, CALLS = 100, 4, 20
WITHIN_S = 2 * HANG_S
GROUP = ("support", "gpt", "v1")

READER = """
import json, os, random, sys, time
from contextlib import ExitStack
from pathlib import Path
import aftercall, duckdb
from flows.reports.snapshot_reader import open_snapshot

folder, seconds, number = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
OPEN = (
    lambda: duckdb.connect(str(folder / "outcomes.duckdb"), read_only=True),
    lambda: aftercall.open_snapshot(folder),
    lambda: duckdb.connect(str(folder / "outcomes.duckdb"), read_only=True),
    lambda: open_snapshot(folder / "outcomes.duckdb"),
)
SUMS = '''
SELECT version, records = calls + completed + outcomes + duplicates + waiting + dead_letters,
  calls + attempts = pending + successes + failures + expired,
  (calls, attempts) = (SELECT (count(*) FILTER (attempt = 0), count(*) FILTER (attempt > 0)) FROM calls),
  dead_letters = (SELECT count(*) FROM dead_letters),
  outcomes = (SELECT count(*) FROM statements),
  calls + attempts = (SELECT sum(calls) FROM rates WHERE grain = '1h'),
  successes = (SELECT sum(successes) FROM rates WHERE grain = '1d'),
  (pending, successes, failures, expired) = (SELECT (count(*) FILTER (verdict = 'pending'),
    count(*) FILTER (verdict = 'success'), count(*) FILTER (verdict = 'failure'),
    count(*) FILTER (verdict = 'expired')) FROM calls)
FROM pipeline
'''
JOIN = '''
SELECT count(*), count(c.call_id), count(*) FILTER (s.stands AND s.success != (c.verdict = 'success')),
  (SELECT sum(statements) FROM calls) - count(*)
FROM statements s LEFT JOIN calls c ON c.call_id = s.call_id AND c.attempt = 0
'''
def linked():
    try:
        return int(Path(os.readlink(folder / "outcomes.duckdb")).parent.name)
    except FileNotFoundError:
        return 0

def is_over():
    return (folder / "over").exists() or time.monotonic() > deadline

random.seed(number)
(folder / f"ready-{number}").touch()
versions, looks, last, over, deadline = set(), 0, 0, False, time.monotonic() + seconds
while not over:
    # Looks cost more CPU than publications: every third version, at the moment it is linked or some time later.
    while linked() < last + 3 and not is_over():
        time.sleep(0.01)
    time.sleep(random.choice((0, random.uniform(0, 0.3))))
    over = is_over()
    with ExitStack() as opened:
        connection = opened.enter_context(OPEN[number]())
        version, *sums = connection.execute(SUMS).fetchone()
        assert all(sums), (version, sums)
        statements, joined, against, missing = connection.execute(JOIN).fetchone()
        assert (statements, against, missing or 0) == (joined, 0, 0), (version, statements, joined, against, missing)
        assert connection.execute("SELECT version FROM pipeline").fetchone() == (version,)
    assert version >= last, (version, last)
    last, looks = version, looks + 1
    versions.add(version)
print(json.dumps({"looks": looks, "versions": len(versions), "last": last}))
"""


def minute(i: int) -> list[SnapshotMessage]:
    """What one minute brings.

    A third of its calls fails, a third is pending; of the minute before one is revised, and its pending ones expire.
    """
    at = AT + i * MINUTE_US
    third = CALLS // 3
    calls = [
        (f"c{i}-{k}", at + k, *GROUP, None, None, 5.0, 0.1, 3, None, json.dumps({"minute": i})) for k in range(CALLS)
    ]
    failed, succeeded = range(third), range(third, CALLS - third)
    verdicts: list[Row] = [(f"c{i}-{k}", at + k, "failure", None, "judge", at + 9, 1, 0) for k in failed]
    verdicts += [(f"c{i}-{k}", at + k, "success", None, "judge", at + 9, 1, 0) for k in succeeded]
    statements: list[Row] = [
        (f"c{i}-{k}", at + k, "o1", 1, "judge", None, at + 9, "assert", k >= third, None, "because", True)
        for k in (*failed, *succeeded)
    ]
    completions: list[Row] = [(f"c{i}-0", at, "s", None, None, None, None, None)]
    attempts: list[Row] = [(f"c{i}-1", at + 1, 1, "large", "v1", 9.0, None, "429")]
    outcomes, expired, revised = len(statements), 0, 0
    if i:
        earlier = at - MINUTE_US
        statements += [
            (f"c{i - 1}-0", earlier, "o1", 1, "judge", None, earlier + 9, "assert", False, None, "because", False),
            (f"c{i - 1}-0", earlier, "o2", 1, "judge", None, earlier + 20, "assert", True, None, None, True),
        ]
        verdicts.append((f"c{i - 1}-0", earlier, "success", None, "judge", earlier + 20, 2, 1))
        for k in range(CALLS - third, CALLS):
            verdicts.append((f"c{i - 1}-{k}", earlier + k, "expired", None, None, at, 0, 0))
        outcomes, expired, revised = outcomes + 1, third, 1
    letter = {"event_id": f"{i:032x}", "reason": "not_json", "detail": "why.", "origin": {"file": "f", "line": i + 1},
              "size": 1, "sha256": "0" * 64, "payload": "{", "received_at": at}  # fmt: skip
    counts = {
        "records": CALLS + outcomes + 3,
        "calls": CALLS,
        "completed": 1,
        "attempts": 1,
        "outcomes": outcomes,
        "duplicates": 1,
        "dead_letters": 1,
        "successes": len(succeeded) + revised,
        "failures": third - revised + 1,
        "expired": expired,
    }
    return [
        CallRows(calls),
        CompletionRows(completions),
        AttemptRows(attempts),
        Verdicts(verdicts),
        StatementRows(statements),
        DeadLetterRows([letter]),
        cells(at // MINUTE_US, len(succeeded), third, revised, expired),
        Tally(counts),
        Clock(at + 30_000_000, at + CALLS, {"agent.calls/0": i}),
    ]


def cells(at_minute: int, succeeded: int, failed: int, revised: int, expired: int) -> CellChanges:
    """The same in differences of the rate cells: this minute's, and those of the minute before."""
    # The failed attempt is a call of another model.
    count = 2 if expired else 1
    code, when = np.zeros(count, np.int32), np.array([at_minute, at_minute - 1], np.int32)[:count]

    def column(now: int, before: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        return np.array([now, before], np.int32)[:count]

    deltas = CellDeltas(
        code,
        when,
        column(CALLS, 0),
        column(succeeded, revised),
        column(failed, -revised),
        column(0, expired),
        column(CALLS * 1_000, 0).astype(np.int64),
    )
    one, none = np.ones(1, np.int32), np.zeros(1, np.int32)
    tried = CellDeltas(one, when[:1], one, none, one, none, deltas.cost_nano[:1])
    parts: list[list[Any]] = [list(deltas), list(tried)]
    deltas = CellDeltas(*map(np.concatenate, zip(*parts, strict=True)))
    one, none = code[:1], np.zeros(0, np.int32)
    latencies = LatencyDeltas(one, when[:1], np.array([200], np.int16), column(CALLS, 0)[:1])
    delays = DelayDeltas(none, none, none.astype(np.int8), none.astype(np.int16), none)
    return CellChanges([GROUP, ("support", "large", "v1")], deltas, latencies, delays)


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Four, each in a process of its own, that know the link: two use DuckDB, one the SDK, one what `insights` uses."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(tmp_path), str(WITHIN_S), str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(READERS)
    ]
    yield started
    for reader in started:
        if reader.poll() is None:
            reader.kill()
        reader.communicate()


@pytest.mark.first
@pytest.mark.long
@pytest.mark.slow
def test_four_readers_see_only_whole_snapshots_through_100_publications(
    tmp_path: Path, readers: list[subprocess.Popen[str]]
) -> None:
    while len(list(tmp_path.glob("ready-*"))) < READERS:
        assert all(reader.poll() is None for reader in readers)
        time.sleep(0.05)
    clock = [0.0]
    partition = SnapshotPartition(
        SnapshotSettings(folder=tmp_path, live=True, every=timedelta(seconds=1), monotonic=lambda: clock[0]), None
    )
    epochs = 0
    while newest_version(tmp_path) < PUBLICATIONS:
        partition.write_batch(minute(epochs))
        clock[0] += 1.0
        partition.snapshot()  # publishes beside, unless the publication before still runs
        epochs += 1
        if epochs % 3:  # two of three epochs wait for it, the third one writes meanwhile
            futures.wait([*filter(None, [partition._running])])
    partition.close()
    (tmp_path / "over").touch()
    for reader in readers:
        printed, trouble = reader.communicate(timeout=HANG_S)
        assert reader.returncode == 0, trouble
        seen = json.loads(printed)
        assert seen["last"] == newest_version(tmp_path)
        assert seen["versions"] >= PUBLICATIONS // 10, seen


BY_THE_PAGE = """
import json, sys
import aftercall, duckdb

python, sql = json.loads(sys.argv[1])
kept = {name: [] for name in ("sdk", "resolved", "attached", "attached again", "link")}

def look(connection):
    (catalog,) = connection.execute("SELECT current_catalog()").fetchone()
    assert catalog == "outcomes", catalog
    query = "FROM pipeline UNION FROM outcomes.pipeline UNION FROM outcomes.main.pipeline"
    ((version, *_),) = connection.execute(query).fetchall()
    return version

for _ in sys.stdin:
    for name, code in zip(("sdk", "resolved"), python):
        names = {}
        exec(code, names)
        kept[name].append(names["snapshot"])
    kept["attached"].append(duckdb.connect())
    kept["attached"][-1].execute(sql[0])
    if not kept["attached again"]:
        kept["attached again"].append(duckdb.connect())
        kept["attached again"][0].execute(sql[0])
    else:
        kept["attached again"][0].execute(sql[1])
    kept["link"].append(duckdb.connect("out/outcomes.duckdb", read_only=True))
    print(json.dumps({name: [look(connection) for connection in all] for name, all in kept.items()}), flush=True)
"""


@pytest.fixture
def reader_of(tmp_path: Path) -> Iterator[Callable[[Path | None], subprocess.Popen[str]]]:
    """Starts one that opens the snapshot again, in all ways that docs/queries.md shows, for each line that it gets."""
    page = document("docs/queries.md")
    shown = json.dumps([blocks(page, "python"), [sql for sql in blocks(page, "sql") if "ATTACH" in sql]])
    started: list[subprocess.Popen[str]] = []

    def start(other: Path | None) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", BY_THE_PAGE, shown],
                env={**os.environ, "PYTHONPATH": str(other or "")},
                cwd=tmp_path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for reader in started:
        reader.kill()
        reader.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.0.0", "1.4.3", "2"])
def test_every_way_that_the_page_shows_opens_the_newest_snapshot_and_holds_it(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    reader_of: Callable[[Path | None], subprocess.Popen[str]],
    version: str,
) -> None:
    """In one process, with all connections before still open, and older files deleted."""
    own = duckdb.__version__.startswith(f"{version}.")
    reader = reader_of(None if own else installed(version, tmp_path_factory.getbasetemp().parent))
    assert reader.stdin is not None
    assert reader.stdout is not None
    store = SnapshotStore(tmp_path / "out", keep=1)
    for newest in (1, 2, 3):
        store.publish({}, {"calls": []}, {"calls": []})
        reader.stdin.write("look\n")
        reader.stdin.flush()
        seen = json.loads(reader.stdout.readline() or "null")
        every = [*range(1, newest + 1)]
        assert seen == {
            "sdk": every,
            "resolved": every,
            "attached": every,
            "attached again": [newest],
            # What the page warns of.
            "link": every if own else [1] * newest,
        }
    store.close()
