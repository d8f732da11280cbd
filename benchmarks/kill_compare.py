"""Reads what a run left in its snapshot and its topics, and counts where two runs, or a run and the truth, differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from aftercall.times import parse_time
from benchmarks.kafka_broker import ClientSettings
from benchmarks.kill_truth import Row, Truth

_PARTITION_EOF: Final = -191
_LEFT_OUT: Final = {
    "dead_letters": ("received_at", "event_id", "payload"),
    "pipeline": ("version", "written_at", "positions"),
}
"""What reference section 4 leaves out where two runs are compared. The dead letter of an outcome that had to wait
for its call has no payload; which ones wait depends on how partitions interleave, and `event_id` hashes all that."""
KEYS: Final = {
    "calls": ("call_id",),
    "statements": ("call_id", "outcome_id"),
    "rates": ("task_type", "model", "config", "grain", "window_start"),
    "current_rates": ("task_type", "model", "config", "span"),
    "dead_letters": ("origin",),
    "pipeline": (),
}
TRUE: Final = {
    "calls": (
        "call_id, epoch_us(occurred_at), task_type, model, config, segment, session_id, latency_ms, cost_usd, tokens, "
        "error, attrs, verdict, score, verdict_source, epoch_us(verdict_at), statements, revisions"
    ),
    "statements": (
        "call_id, outcome_id, source, epoch_us(occurred_at), action, success, score, reason, stands"
    ),
    "rates": (
        "task_type, model, config, grain, epoch_us(window_start), calls, successes, failures, expired, pending, "
        "CAST(round(coalesce(cost_usd, 0) * 1e9) AS BIGINT)"
    ),
    "dead_letters": (
        "reason, origin->>'topic', CAST(origin->>'partition' AS INT), CAST(origin->>'offset' AS INT), sha256"
    ),
}  # fmt: skip
"""What the truth knows of each table, as a select list; the keys come first."""
TRUE_KEYS: Final = {"calls": 1, "statements": 2, "rates": 5, "dead_letters": 4, "verdicts": 1}
VERDICT: Final = (
    "call_id", "seq", "task_type", "model", "config", "verdict", "score", "source", "outcome_id", "reason",
    "decided_at", "age_s",
)  # fmt: skip


@dataclass
class Differences:
    """Rows that are not there, that are there though they should not be or more than once, or that are not equal."""

    lost: int = 0
    doubled: int = 0
    differing: int = 0
    shown: list[str] = field(default_factory=list)

    def compare(self, what: str, found: Iterable[Row], expected: Iterable[Row], key: int) -> None:
        """Count in a table, whose first `key` columns tell rows apart."""
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
        """All of them."""
        return self.lost + self.doubled + self.differing


class Outputs:
    """One output topic: every record, in the order of its partition."""

    def __init__(self, client: ClientSettings, topic: str) -> None:
        self.records = [json.loads(value) for value in _read_all(client, topic)]
        self.event_ids = Counter(record["event_id"] for record in self.records)

    @property
    def repeats(self) -> int:
        """How many are exact repeats of another one."""
        return len(self.records) - len(self.event_ids)

    def newest(self, key: str) -> dict[str, Any]:
        """By key the record with the greatest `seq`, the newest among equals."""
        found: dict[str, Any] = {}
        for record in self.records:
            if record[key] not in found or record["seq"] >= found[record[key]]["seq"]:
                found[record[key]] = record
        return found


class Left:
    """What a run left behind."""

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
            told = record | {"decided_at": None if decided_at is None else parse_time(decided_at)}
            rows.append(tuple(told[name] for name in VERDICT))
        return rows

    def unlike_its_topics(self) -> list[str]:
        """Where the snapshot and the topics of one run tell different things: each holds every record of the other."""
        found = []
        newest = self.alerts.newest("alert_id")
        rows = {row[0]: row for row in self.alert_rows}
        found += [f"alert {one}: in the topic, not in the snapshot" for one in newest.keys() - rows.keys()]
        found += [f"alert {one}: in the snapshot, not in the topic" for one in rows.keys() - newest.keys()]
        found += [
            f"alert {one}: {newest[one]['event_id']} in the topic, {rows[one][2]} in the snapshot"
            for one in newest.keys() & rows.keys()
            if newest[one]["event_id"] != rows[one][2]
        ]
        topic = set(self.recommendations.event_ids)
        found += [f"recommendation {one}: not in the topic" for one in self.recommendation_ids - topic]
        letters = self.dead_letters.event_ids
        found += [f"dead letter {one}: not in the topic" for one in self.letter_ids - letters.keys()]
        origins = {json.dumps(record["origin"], sort_keys=True) for record in self.dead_letters.records}
        known = {json.dumps(json.loads(row[0]), sort_keys=True) for row in self.tables["dead_letters"]}
        found += [f"dead letter of {one}: not in the snapshot" for one in origins - known]
        return found


def against_truth(left: Left, truth: Truth) -> Differences:
    """Compare a run with what had to come out."""
    found = Differences()
    expected = {"calls": truth.calls, "statements": truth.statements, "rates": truth.rates}
    for table, rows in expected.items():
        found.compare(f"{table} and the truth", map(_plain, left.true[table]), map(_plain, rows), TRUE_KEYS[table])
    # How a record is unreadable, its slug says; the truth only knows that it is.
    slugs = {"conflict", "late"}
    letters = [(*row[1:], row[0] if row[0] in slugs else None) for row in left.true["dead_letters"]]
    found.compare("dead_letters and the truth", letters, [(*row[1:], row[0]) for row in truth.dead_letters], 3)
    found.compare("verdicts and the truth", left.newest_verdicts(), truth.verdicts, 1)
    names = [name for name in left.counters if name != "watermark"]
    found.compare(
        "pipeline and the truth",
        [tuple(left.counters[name] for name in names)],
        [tuple(truth.counters[name] for name in names)],
        0,
    )
    return found


def against_run(left: Left, reference: Left) -> Differences:
    """Compare two runs."""
    found = Differences()
    for table, rows in reference.tables.items():
        found.compare(f"{table} and the uninterrupted run", left.tables[table], rows, len(KEYS[table]))
    verdicts = [sorted(one.verdicts.newest("call_id").items()) for one in (left, reference)]
    ours, theirs = ([(key, json.dumps(record, sort_keys=True)) for key, record in one] for one in verdicts)
    found.compare("verdicts and the uninterrupted run", ours, theirs, 1)
    return found


def alerts_missing(left: Left, reference: Left, changed: Iterable[tuple[str, str]]) -> list[str]:
    """Alerts of another run on groups that truly changed which this one has not, or has left open though that closed.

    Args:
        left: this run.
        reference: the other one.
        changed: task type and model of what changed; alerts on the task type as a whole count too.
    """
    models = {(task, model) for task, one in changed for model in (one, None)}
    of = slice(4, 10)  # kind, group, metric, direction
    wanted = Counter(row[of] for row in reference.alert_rows if row[5:7] in models)
    closed = Counter(row[of] for row in reference.alert_rows if row[5:7] in models and row[3] == "closed")
    found = [f"alert {what}: not opened" for what in wanted - Counter(row[of] for row in left.alert_rows)]
    ours = Counter(row[of] for row in left.alert_rows if row[3] == "closed")
    found += [f"alert {what}: not closed" for what in closed - ours]
    if not (wanted and closed):
        found.append("the uninterrupted run must open alerts on what truly changed, and close some; it did not")
    return found


def alerts_told(left: Left, reference: Left) -> dict[str, int]:
    """How many alerts and recommendations there are, and how many are the same in both runs."""
    ours, theirs = ({row[2] for row in one.alert_rows} for one in (left, reference))
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
    """The sums of reference section 4 that do not hold in the newest snapshot; none where there is none yet.

    Args:
        out: the output folder.
        whole: count the rows of the tables too.
    """
    if not (out / "outcomes.duckdb").exists():
        return []
    with opened(out) as snapshot:
        count = counters(snapshot)
        judged = [count[name] for name in ("pending", "successes", "failures", "expired")]
        became = sum(count[name] for name in ("calls", "outcomes", "duplicates", "waiting", "dead_letters"))
        sums: dict[str, tuple[Any, Any]] = {
            "records": (count["records"], became),
            "calls": (count["calls"], sum(judged)),
        }
        if whole:
            by = "sum(pending), sum(successes), sum(failures), sum(expired)"
            for grain, *totals in snapshot.execute(f"SELECT grain, {by} FROM rates GROUP BY grain").fetchall():  # noqa: S608
                sums[f"table rates, {grain}"] = (judged, totals)
            verdicts = dict(snapshot.execute("SELECT verdict, count(*) FROM calls GROUP BY verdict").fetchall())
            sums["table calls"] = judged, [verdicts.get(one, 0) for one in ("pending", "success", "failure", "expired")]
            for table, name in (("statements", "outcomes"), ("dead_letters", "dead_letters")):
                sums[f"table {table}"] = count[name], snapshot.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]  # noqa: S608
    return [f"{name}: {one} is not {other}" for name, (one, other) in sums.items() if one != other]


def progress(out: Path) -> tuple[int, int]:
    """Records and watermark (µs) of the newest snapshot; zeros where there is none yet."""
    if not (out / "outcomes.duckdb").exists():
        return 0, 0
    with opened(out) as snapshot:
        count = counters(snapshot)
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
    """JSON texts with sorted keys, so that spelling decides nothing."""
    return tuple(
        json.dumps(json.loads(one), sort_keys=True) if isinstance(one, str) and one.startswith("{") else one
        for one in row
    )


def _read_all(client: ClientSettings, topic: str) -> list[bytes]:
    settings: ClientSettings = {"group.id": "kills", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer(client | settings | {"log_level": 2})
    try:
        partitions = consumer.list_topics(topic, timeout=300).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        found, open_ones = list[bytes](), set(partitions)
        while open_ones:
            for message in consumer.consume(10_000, 1):
                error = message.error()
                if error is None:
                    found.append(message.value() or b"null")
                elif error.code() == _PARTITION_EOF:
                    open_ones.discard(message.partition())
                else:
                    raise KafkaException(error)
        return found
    finally:
        consumer.close()
