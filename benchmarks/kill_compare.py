"""Counts differences between two runs, or a run and the truth, in snapshot and topics."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import duckdb
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from aftercall.times import parse_time
from benchmarks.kafka_broker import ClientSettings
from benchmarks.kill_truth import Row, Truth
from flows.dead_letters.logs import REDRIVEN

_PARTITION_EOF: Final = -191
_LEFT_OUT: Final = {
    "dead_letters": ("received_at", "event_id", "payload"),
    "pipeline": ("version", "written_at", "positions"),
}
"""The columns that reference section 4 excludes from the comparison of two runs. The dead letter of an outcome that
waited for its call has no payload; which outcomes wait depends on how partitions interleave, and `event_id` hashes the
payload."""
KEYS: Final = {
    "calls": ("call_id",),
    "statements": ("call_id", "outcome_id"),
    "tool_calls": ("call_id", "call_occurred_at", "position"),
    "tool_rates": ("task_type", "tool", "window_start"),
    "rates": ("task_type", "model", "config", "grain", "window_start"),
    "current_rates": ("task_type", "model", "config", "span"),
    "source_rates": ("task_type", "model", "config", "source", "grain", "window_start"),
    "source_current_rates": ("task_type", "model", "config", "source", "span"),
    "dead_letters": ("origin",),
    "pipeline": (),
}
TRUE: Final = {
    "calls": (
        "call_id, attempt, epoch_us(occurred_at), task_type, model, config, segment, session_id, latency_ms, cost_usd, "
        "tokens, error, attrs, verdict, score, verdict_source, epoch_us(verdict_at), statements, revisions"
    ),
    "statements": (
        "call_id, outcome_id, source, epoch_us(occurred_at), action, success, score, reason, stands"
    ),
    "rates": (
        "task_type, model, config, grain, epoch_us(window_start), calls, successes, failures, expired, pending, "
        "CAST(round(coalesce(cost_usd, 0) * 1e9) AS BIGINT)"
    ),
    "source_rates": (
        "task_type, model, config, source, grain, epoch_us(window_start), resolved, successes, failures"
    ),
    "dead_letters": (
        "reason, origin->>'topic', CAST(origin->>'partition' AS INT), CAST(origin->>'offset' AS INT), sha256"
    ),
}  # fmt: skip
"""The columns of each table that the truth has, as a select list; the keys come first."""
TRUE_KEYS: Final = {"calls": 2, "statements": 2, "rates": 5, "source_rates": 6, "dead_letters": 4, "verdicts": 1}
VERDICT: Final = (
    "call_id", "seq", "task_type", "model", "config", "verdict", "score", "source", "outcome_id", "reason",
    "decided_at", "age_s",
)  # fmt: skip


@dataclass
class Differences:
    """Rows that are missing (`lost`), unexpected or repeated (`doubled`), or not equal (`differing`)."""

    lost: int = 0
    doubled: int = 0
    differing: int = 0
    shown: list[str] = field(default_factory=list)

    def compare(self, what: str, found: Iterable[Row], expected: Iterable[Row], key: int) -> None:
        """Count the differences of a table whose first `key` columns identify a row."""
        have, want = Counter(found), Counter(expected)
        more, fewer = have - want, want - have
        by_key = [Counter[Row](), Counter[Row]()]
        for counts, rows in zip(by_key, (more, fewer), strict=True):
            for row, count in rows.items():
                counts[row[:key]] += count
        differing = (by_key[0] & by_key[1]).total()
        self.differing += differing
        self.doubled += by_key[0].total() - differing
        self.lost += by_key[1].total() - differing
        if more or fewer:
            self.shown.append(f"{what}: {more.total()} not expected, {fewer.total()} missing")
            self.shown += [f"{what}: not expected {row}" for row in list(more)[:3]]
            self.shown += [f"{what}: missing {row}" for row in list(fewer)[:3]]

    @property
    def total(self) -> int:
        """The number of all differences."""
        return self.lost + self.doubled + self.differing


class Outputs:
    """One output topic: every record, in the order of its partition."""

    def __init__(self, client: ClientSettings, topic: str) -> None:
        self.records = [json.loads(value) for value in _read_all(client, topic)]
        self.event_ids = Counter(record["event_id"] for record in self.records)

    @property
    def repeats(self) -> int:
        """The number of records that repeat another one exactly."""
        return len(self.records) - len(self.event_ids)

    def newest(self, key: str) -> dict[str, Any]:
        """By key, the record with the greatest `seq`, and among equals the last."""
        newest: dict[str, Any] = {}
        for record in self.records:
            if record[key] not in newest or record["seq"] >= newest[record[key]]["seq"]:
                newest[record[key]] = record
        return newest


class Left:
    """What a run has left in its snapshot and its topics."""

    def __init__(self, out: Path, client: ClientSettings, topics: Mapping[str, str]) -> None:
        self.verdicts, self.alerts, self.recommendations, self.dead_letters = (
            Outputs(client, topics[name]) for name in ("verdicts", "alerts", "recommendations", "dead_letters")
        )
        self.tables: dict[str, list[Row]] = {}
        self.true: dict[str, list[Row]] = {}
        with opened(out) as snapshot:
            for table, key in KEYS.items():
                columns = [name for name in _columns(snapshot, table) if name not in _LEFT_OUT.get(table, ())]
                listed = ", ".join([*key, *(name for name in columns if name not in key)])
                self.tables[table] = snapshot.execute(f"SELECT {listed} FROM {table}").fetchall()  # noqa: S608
            for table, listed in TRUE.items():
                self.true[table] = snapshot.execute(f"SELECT {listed} FROM {table}").fetchall()  # noqa: S608
            self.counters = counters(snapshot)
            self.alert_rows = snapshot.execute(
                "SELECT alert_id, seq, event_id, state, kind, task_type, model, config, metric, direction FROM alerts"
            ).fetchall()
            self.recommendation_ids, self.letter_ids = (
                {event_id for (event_id,) in snapshot.execute(f"SELECT event_id FROM {table}").fetchall()}  # noqa: S608
                for table in ("recommendations", "dead_letters")
            )

    def newest_verdicts(self) -> list[Row]:
        """The state of `agent.verdicts`, in the columns of `VERDICT`; times in µs."""
        rows = []
        for record in self.verdicts.newest("call_id").values():
            decided_at = record["decided_at"]
            in_us = record | {"decided_at": None if decided_at is None else parse_time(decided_at)}
            rows.append(tuple(in_us[name] for name in VERDICT))
        return rows

    def unlike_its_topics(self) -> list[str]:
        """Where the snapshot and the topics of one run differ: each must hold every record of the other."""
        unlike = []
        newest = self.alerts.newest("alert_id")
        rows = {row[0]: row for row in self.alert_rows}
        unlike += [f"alert {key}: in the topic, not in the snapshot" for key in newest.keys() - rows.keys()]
        unlike += [f"alert {key}: in the snapshot, not in the topic" for key in rows.keys() - newest.keys()]
        unlike += [
            f"alert {key}: {newest[key]['event_id']} in the topic, {rows[key][2]} in the snapshot"
            for key in newest.keys() & rows.keys()
            if newest[key]["event_id"] != rows[key][2]
        ]
        topic = set(self.recommendations.event_ids)
        unlike += [f"recommendation {key}: not in the topic" for key in self.recommendation_ids - topic]
        unlike += [
            f"dead letter {key}: not in the topic" for key in self.letter_ids - self.dead_letters.event_ids.keys()
        ]
        # Marks of `dead-letters redrive` are in the topic alone.
        letters = [record for record in self.dead_letters.records if record["reason"] != REDRIVEN]
        origins = {json.dumps(record["origin"], sort_keys=True) for record in letters}
        stored = {json.dumps(json.loads(row[0]), sort_keys=True) for row in self.tables["dead_letters"]}
        unlike += [f"dead letter of {origin}: not in the snapshot" for origin in origins - stored]
        return unlike


def against_truth(left: Left, truth: Truth) -> Differences:
    """Compare a run with the expected results."""
    differences = Differences()
    expected = {
        "calls": truth.calls,
        "statements": truth.statements,
        "rates": truth.rates,
        "source_rates": truth.source_rates,
    }
    for table, rows in expected.items():
        actual = map(_plain, left.true[table])
        differences.compare(f"{table} and the truth", actual, map(_plain, rows), TRUE_KEYS[table])
    # The truth has no slug for unreadable records, which have several: compare those without it.
    named = {row[1:] for row in truth.dead_letters if row[0] is not None}
    letters = [(*row[1:], row[0] if row[1:] in named else None) for row in left.true["dead_letters"]]
    differences.compare("dead_letters and the truth", letters, [(*row[1:], row[0]) for row in truth.dead_letters], 3)
    differences.compare("verdicts and the truth", left.newest_verdicts(), truth.verdicts, 1)
    names = [name for name in left.counters if name != "watermark"]
    differences.compare(
        "pipeline and the truth",
        [tuple(left.counters[name] for name in names)],
        [tuple(truth.counters[name] for name in names)],
        0,
    )
    return differences


def against_run(left: Left, reference: Left) -> Differences:
    """Compare two runs."""
    differences = Differences()
    for table, rows in reference.tables.items():
        differences.compare(f"{table} and the uninterrupted run", left.tables[table], rows, len(KEYS[table]))
    verdicts = [sorted(run.verdicts.newest("call_id").items()) for run in (left, reference)]
    ours, theirs = ([(key, json.dumps(record, sort_keys=True)) for key, record in items] for items in verdicts)
    differences.compare("verdicts and the uninterrupted run", ours, theirs, 1)
    return differences


def alerts_missing(left: Left, reference: Left, changed: Iterable[tuple[str, str]]) -> list[str]:
    """Alerts on true changes that the reference has opened or closed, and this run has not.

    Args:
        left: this run.
        reference: the uninterrupted run.
        changed: task type and model of the true changes; alerts on the whole task type count too.
    """
    models = {(task, model) for task, changed_model in changed for model in (changed_model, None)}
    of = slice(4, 10)  # kind, group, metric, direction
    wanted = Counter(row[of] for row in reference.alert_rows if row[5:7] in models)
    closed = Counter(row[of] for row in reference.alert_rows if row[5:7] in models and row[3] == "closed")
    missing = [f"alert {what}: not opened" for what in wanted - Counter(row[of] for row in left.alert_rows)]
    ours = Counter(row[of] for row in left.alert_rows if row[3] == "closed")
    missing += [f"alert {what}: not closed" for what in closed - ours]
    if not (wanted and closed):
        missing.append("the uninterrupted run must open alerts on the true changes, and close some; it did not")
    return missing


def alert_counts(left: Left, reference: Left) -> dict[str, int]:
    """How many alerts and recommendations there are, and how many are the same in both runs."""
    ours, theirs = ({row[2] for row in run.alert_rows} for run in (left, reference))
    return {
        "alerts": len(ours),
        "alerts_closed": sum(row[3] == "closed" for row in left.alert_rows),
        "alerts_of_the_uninterrupted_run": len(theirs),
        "alerts_in_both": len(ours & theirs),
        "recommendations": len(left.recommendation_ids),
        "recommendations_of_the_uninterrupted_run": len(reference.recommendation_ids),
        "recommendations_in_both": len(left.recommendation_ids & reference.recommendation_ids),
    }


def sums_that_fail(out: Path, *, whole: bool = False) -> list[str]:
    """The sums of reference section 4 that do not hold in the newest snapshot; empty without a snapshot.

    Args:
        out: the output folder.
        whole: count the rows of the tables too.
    """
    if not (out / "outcomes.duckdb").exists():
        return []
    with opened(out) as snapshot:
        count = counters(snapshot)
        judged = [count[name] for name in ("pending", "successes", "failures", "expired")]
        became = sum(
            count[name] for name in ("calls", "completed", "outcomes", "marks", "duplicates", "waiting", "dead_letters")
        )
        sums: dict[str, tuple[Any, Any]] = {
            "records": (count["records"], became),
            "calls": (count["calls"] + count["attempts"], sum(judged)),
        }
        if whole:
            by = "sum(pending), sum(successes), sum(failures), sum(expired)"
            for grain, *totals in snapshot.execute(f"SELECT grain, {by} FROM rates GROUP BY grain").fetchall():  # noqa: S608
                sums[f"table rates, {grain}"] = (judged, totals)
            verdicts = dict(snapshot.execute("SELECT verdict, count(*) FROM calls GROUP BY verdict").fetchall())
            by_verdict = [verdicts.get(name, 0) for name in ("pending", "success", "failure", "expired")]
            sums["table calls"] = judged, by_verdict
            for table, name in (("statements", "outcomes"), ("dead_letters", "dead_letters")):
                sums[f"table {table}"] = count[name], snapshot.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]  # noqa: S608
    return [f"{name}: {one} is not {other}" for name, (one, other) in sums.items() if one != other]


def progress(out: Path) -> tuple[int, int]:
    """Records and watermark (µs) of the newest snapshot, which is opened once (25 ms of CPU); zeros without one."""
    newest = (out / "outcomes.duckdb").resolve()
    try:
        found = newest.stat()
    except OSError:  # none yet, or the next one has replaced it
        return 0, 0
    return _progress(newest, found.st_ino, found.st_mtime_ns)


@lru_cache(maxsize=4)
def _progress(snapshot: Path, _file: int, _changed_ns: int) -> tuple[int, int]:
    with duckdb.connect(str(snapshot), read_only=True) as tables:
        count = counters(tables)
    return int(count["records"]), int(count["watermark"] or 0)


def counters(snapshot: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The row of `pipeline`."""
    names = [name for name in _columns(snapshot, "pipeline") if name not in _LEFT_OUT["pipeline"]]
    listed = ", ".join("epoch_us(watermark)" if name == "watermark" else name for name in names)
    (row,) = snapshot.execute(f"SELECT {listed} FROM pipeline").fetchall()  # noqa: S608
    return dict(zip(names, row, strict=True))


def opened(out: Path) -> duckdb.DuckDBPyConnection:
    """The newest snapshot of an output folder."""
    return duckdb.connect(str((out / "outcomes.duckdb").resolve()), read_only=True)


def _columns(snapshot: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [row[0] for row in snapshot.execute(f"DESCRIBE {table}").fetchall()]


def _plain(row: Row) -> Row:
    """The row, with the keys of JSON texts sorted, so that equal objects compare equal."""
    return tuple(
        json.dumps(json.loads(cell), sort_keys=True) if isinstance(cell, str) and cell.startswith("{") else cell
        for cell in row
    )


def _read_all(client: ClientSettings, topic: str) -> list[bytes]:
    settings: ClientSettings = {"group.id": "kills", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer(client | settings | {"log_level": 2})
    try:
        partitions = consumer.list_topics(topic, timeout=300).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        values, unread = list[bytes](), set(partitions)
        while unread:
            for message in consumer.consume(10_000, 1):
                error = message.error()
                if error is None:
                    values.append(message.value() or b"null")
                elif error.code() == _PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise KafkaException(error)
        return values
    finally:
        consumer.close()
