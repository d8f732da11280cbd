"""The snapshot store: what is published, and at which cut it goes on."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest

from aftercall.records import Alert, Recommendation
from connectors.snapshot.errors import SnapshotError, naming
from connectors.snapshot.store import SnapshotStore
from connectors.snapshot.tables import PUBLISHED
from harness.snapshot_rows import AT, NOTHING, call, published, query

_POWER = ("outcomes_per_day", "power_days", "power_within_week", "design_effect", "task_design_effect")


def test_an_empty_pipeline_publishes_every_table_with_its_types(tmp_path: Path) -> None:
    published(SnapshotStore(tmp_path))
    for table, columns in PUBLISHED.items():
        described = {row[0]: row[1] for row in query(tmp_path, f"DESCRIBE {table}")}
        assert described == columns
    assert query(tmp_path, "SELECT version, records, pending, watermark, positions FROM pipeline") == [
        (1, 0, 0, None, "{}")
    ]


def test_the_newest_verdict_and_statement_rows_are_merged_onto_their_calls(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_calls([call(1), call(2), call(3, latency_ms=float("nan"), cost_usd=None, tokens=-1)])
    store.append_verdicts([("c1", AT + 1, "failure", 0.2, "judge", AT + 9, 1, 0)])
    store.append_statements([("c1", AT + 1, "o1", 1, "judge", None, AT + 9, "assert", None, 0.2, "bad", "j@1", True)])
    store.commit(1)
    store.append_verdicts(
        [
            ("c1", AT + 1, "success", None, "human_review", AT + 20, 2, 1),
            ("c1", AT + 999, "failure", None, "of another call with this id", AT + 20, 2, 1),
            ("c2", AT + 2, "expired", float("nan"), None, None, 0, 0),
        ]
    )
    store.append_statements(
        [
            ("c1", AT + 1, "o1", 1, "judge", None, AT + 9, "assert", None, 0.2, "bad", "j@1", False),
            ("c1", AT + 1, "o2", 1, "human_review", "ann", AT + 20, "assert", True, None, None, None, True),
        ]
    )
    store.commit(2)
    published(store)
    rows = query(tmp_path, "SELECT * FROM calls ORDER BY call_id")
    one, two, three = rows
    assert one[0:6] == ("c1", 0, _naive(AT + 1), "support", "gpt", "v1")
    assert one[8:13] == (12.5, 0.25, 7, None, '{"a":1}')
    assert one[13:19] == ("success", None, "human_review", _naive(AT + 20), 2, 1)
    assert two[13:19] == ("expired", None, None, None, 0, 0)
    assert three[8:11] == (None, None, None)
    assert three[13:19] == ("pending", None, None, None, 0, 0)
    assert query(tmp_path, "SELECT outcome_id, occurred_at, success, score, stands FROM statements ORDER BY 1") == [
        ("o1", _naive(AT + 9), None, 0.2, False),
        ("o2", _naive(AT + 20), True, None, True),
    ]


def test_failed_attempts_are_rows_with_what_their_call_has_and_go_with_it(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_calls([call(1, segment="long", session_id=None), call(2), call(3)])
    store.append_completions([("c1", AT + 1, "s", None, None, None, None, None)])
    store.append_attempts(
        [
            ("c1", AT + 1, 2, "large", "v2", 90.0, 0.5, "429"),
            ("c2", AT + 2, 1, "large", "v1", None, float("nan"), "timeout"),
            ("c1", AT + 999, 1, "of another call", "with this id", None, None, "x"),
            ("c3", AT + 3, 1, "large", "v1", None, None, "x"),
        ]
    )
    store.append_verdicts([("c1", AT + 1, "success", 1.0, "judge", AT + 9, 1, 1)])
    store.commit(1)
    published(store)
    tried = "SELECT * EXCLUDE (call_hash) FROM calls WHERE attempt > 0 ORDER BY call_id"
    one, two, three = query(tmp_path, tried)
    assert one == (
        *("c1", 2, _naive(AT + 1), "support", "large", "v2", "long", "s", 90.0, 0.5, None, "429", None),
        *("failure", None, "call", _naive(AT + 1), 0, 0),
        *(None,) * 10,
    )
    assert (two[4:6], two[8:13]) == (("large", "v1"), (None, None, None, "timeout", None))
    assert query(tmp_path, "SELECT verdict, statements FROM calls WHERE call_id = 'c1' AND attempt = 0") == [
        ("success", 1)
    ]
    store.erase(["c1"])
    store.forget({"calls": AT + 3})
    store.commit(2)
    published(store)
    assert query(tmp_path, tried) == [three]
    left = store._connection.execute("SELECT call_id, call_occurred_at FROM attempts ORDER BY 2").fetchall()
    assert left == [("c3", AT + 3)]


def test_what_later_records_filled_is_merged_onto_their_calls_and_goes_with_them(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    bare = call(1, session_id=None, latency_ms=None, cost_usd=None, tokens=None, error=None, attrs="{}")
    store.append_calls([bare, call(2), call(3, tokens=-1, attrs=None)])
    store.append_completions([("c1", AT + 1, "s", None, 0.5, None, None, None)])
    store.commit(1)
    store.append_completions(
        [
            ("c1", AT + 1, None, 7.5, None, 9, "timeout", '{"b":2}'),
            ("c3", AT + 3, None, None, None, 5, None, None),
            ("c2", AT + 999, None, None, None, 5, "of another call with this id", None),
        ]
    )
    store.commit(2)
    published(store)
    filled = "SELECT session_id, latency_ms, cost_usd, tokens, error, attrs FROM calls ORDER BY call_id"
    one, two, three = query(tmp_path, filled)
    assert one == ("s", 7.5, 0.5, 9, "timeout", '{"b":2}')
    assert two[1:] == (12.5, 0.25, 7, None, '{"a":1}')
    assert three[3:] == (5, None, None)
    store.erase(["c1"])
    store.forget({"calls": AT + 3})
    store.commit(3)
    published(store)
    assert query(tmp_path, filled) == [three]
    left = store._connection.execute("SELECT call_id, call_occurred_at FROM completions ORDER BY 2").fetchall()
    assert left == [("c3", AT + 3), ("c2", AT + 999)]


def _naive(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC).replace(tzinfo=None)


@pytest.mark.parametrize(("mode", "calls", "statements"), [("all", 2, 2), ("decided", 1, 1), ("none", 0, 0)])
def test_calls_and_statements_are_limited_as_configured(tmp_path: Path, mode: str, calls: int, statements: int) -> None:
    store = SnapshotStore(tmp_path, calls=mode)
    store.append_calls([call(1), call(2)])
    store.append_verdicts(
        [("c1", AT + 1, "success", None, "x", AT, 1, 0), ("c2", AT + 2, "pending", None, None, None, 1, 1)]
    )
    store.append_statements(
        [(f"c{i}", AT + i, "o", 1, "x", None, AT, "assert", True, None, None, None, True) for i in (1, 2)],
    )
    store.commit(1)
    published(store)
    assert query(tmp_path, "SELECT (SELECT count(*) FROM calls), (SELECT count(*) FROM statements)") == [
        (calls, statements)
    ]


def test_computed_columns_are_published_with_nan_as_null(tmp_path: Path) -> None:
    names = [
        name for name in PUBLISHED["rates"] if name not in ("task_type", "model", "config", "grain", "window_start")
    ]
    measures = {
        name: np.array([3.0, np.nan]) if kind == "DOUBLE" else np.array([1, 2])
        for name, kind in PUBLISHED["rates"].items()
        if name in names
    }
    group = {
        "task_type": np.array(["a", "b"], object),
        "model": np.array(["m", "m"], object),
        "config": np.array(["c", "c"], object),
    }
    rates = {**group, "grain": np.array(["1h", "1d"], object), "window_start": np.array([AT, AT]), **measures}
    power = {name: np.array([3.0, np.nan]) for name in _POWER}
    current = {**group, "span": np.array(["1h", "7d"], object), "as_of": np.array([AT, AT]), **measures, **power}
    SnapshotStore(tmp_path).publish({"watermark": AT, "positions": {"f": 3}, "calls": 3}, rates, current)
    assert query(tmp_path, "SELECT task_type, grain, window_start, calls, rate FROM rates ORDER BY 1") == [
        ("a", "1h", _naive(AT), 1, 3.0),
        ("b", "1d", _naive(AT), 2, None),
    ]
    assert query(tmp_path, "SELECT span, as_of, maturity FROM current_rates ORDER BY 1") == [
        ("1h", _naive(AT), 3.0),
        ("7d", _naive(AT), None),
    ]
    assert query(tmp_path, "SELECT watermark, positions, calls FROM pipeline") == [(_naive(AT), '{"f": 3}', 3)]


def _alert(seq: int, state: str) -> Alert:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Alert.sealed(
        seq=seq, alert_id="a" * 32, state=state, kind="drift", severity="warning", opened_at=at, updated_at=at,
        closed_at=None, task_type="support", model=None, config=None, metric="success", direction="down", baseline=0.9,
        current=0.8, effect_low=-0.2, effect_high=-0.1, changed_at=at, promise=None, reason="r", evidence={"n": 3},
    )  # fmt: skip


def _recommendation(arms: int) -> Recommendation:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    drawn = [
        {"model": f"m{i}", "config": "c", "weight": 1 / arms, "p_best": 0.5, "rate": 0.9, "rate_low": 0.8,
         "rate_high": 0.95, "n": 10, "status": "ok"} for i in range(arms)
    ]  # fmt: skip
    return Recommendation.sealed(
        seq=1, task_type="support", issued_at=at, valid_until=at, reason="r",
        segments=[{"segment": None, "arms": drawn}] if arms else [],
        degraded=[{"model": "m9", "config": None, "reason": "worse", "alert_id": None}],
    )  # fmt: skip


def test_alerts_recommendations_and_dead_letters_become_rows(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_alerts([_alert(2, "closed"), _alert(1, "opened")])
    store.append_recommendations([_recommendation(2), _recommendation(0)])
    letter = {"event_id": "e", "reason": "late", "detail": "d", "origin": {"file": "f", "line": 2}, "size": 3}
    store.append_dead_letters([{**letter, "sha256": "0" * 64, "payload": None, "received_at": AT}])
    store.commit(1)
    published(store)
    assert query(tmp_path, "SELECT seq, state, opened_at, model, evidence FROM alerts") == [
        (2, "closed", datetime(2026, 1, 1), None, '{"n": 3}')  # noqa: DTZ001
    ]
    rows = query(tmp_path, "SELECT segment, model, weight, n, degraded FROM recommendations ORDER BY model")
    assert [row[:4] for row in rows] == [(None, "m0", 0.5, 10), (None, "m1", 0.5, 10), (None, None, None, None)]
    assert '"model": "m9"' in rows[0][4]
    assert query(tmp_path, "SELECT origin, size, received_at FROM dead_letters") == [
        ('{"file": "f", "line": 2}', 3, _naive(AT))
    ]


def test_a_live_database_of_an_earlier_version_gets_the_columns_that_it_lacks(tmp_path: Path) -> None:
    letter = {"event_id": "e1", "reason": "late", "detail": "d", "size": 3, "sha256": "0" * 64, "received_at": AT}
    store = SnapshotStore(tmp_path)
    store.append_dead_letters([letter, letter | {"event_id": "e2"}])
    store.commit(1)
    store.close()
    with duckdb.connect(str(tmp_path / "state" / "live.duckdb")) as live:
        live.execute("ALTER TABLE dead_letters DROP COLUMN redriven_of")
    store = SnapshotStore(tmp_path)
    store.append_dead_letters([letter | {"event_id": "e3", "redriven_of": "e1"}])
    store.commit(2)
    store.append_dead_letters([letter | {"event_id": "e4"}])
    store.commit(3)
    store.resume(2)
    published(store)
    assert query(tmp_path, "SELECT event_id, reason, received_at, redriven_of FROM dead_letters") == [
        ("e1", "late", _naive(AT), None),
        ("e2", "late", _naive(AT), None),
        ("e3", "late", _naive(AT), "e1"),
    ]


def test_each_edition_of_an_outcome_is_a_row_and_rows_from_before_there_were_editions_are_first_ones(
    tmp_path: Path,
) -> None:
    def vote(edition: int, *, success: bool, stands: bool) -> tuple[object, ...]:
        return ("c1", AT, "o1", edition, "user", None, AT, "assert", success, None, None, None, stands)

    store = SnapshotStore(tmp_path)
    store.append_statements([vote(1, success=True, stands=True)])
    store.commit(1)
    store.close()
    with duckdb.connect(str(tmp_path / "state" / "live.duckdb")) as live:
        for column in ("edition", "author", "scorer"):
            live.execute(f"ALTER TABLE statements DROP COLUMN {column}")
    store = SnapshotStore(tmp_path)
    store.append_statements([vote(2, success=False, stands=True), vote(1, success=True, stands=False)])
    store.commit(2)
    published(store)
    assert query(tmp_path, "SELECT outcome_id, edition, author, success, stands FROM statements ORDER BY ALL") == [
        ("o1", 1, None, True, False),
        ("o1", 2, None, False, True),
    ]


def test_resuming_at_a_cut_drops_later_rows_and_uncommitted_ones(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    for cut in (1, 2, 3):
        store.append_calls([call(cut)])
        store.commit(cut)
    store.append_calls([call(99)])
    store.close()
    store = SnapshotStore(tmp_path)
    assert store.cut == 3
    store.resume(2)
    store.append_calls([call(4)])
    store.commit(3)
    published(store)
    assert query(tmp_path, "SELECT call_id FROM calls ORDER BY 1") == [("c1",), ("c2",), ("c4",)]


def test_resuming_at_nothing_starts_over_but_versions_go_on(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_calls([call(1)])
    store.commit(1)
    published(store)
    store.close()
    store = SnapshotStore(tmp_path)
    store.resume(0)
    assert published(store).parent.name == "2"
    assert query(tmp_path, "SELECT version, (SELECT count(*) FROM calls) FROM pipeline") == [(2, 0)]


def test_a_live_database_that_ends_before_the_resume_point_is_refused(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.commit(1)
    with pytest.raises(SnapshotError, match=r"must reach cut 5.*ends at cut 1 \(restore the file"):
        store.resume(5)


def test_cuts_follow_one_another(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="next cut must be 1; got 2"):
        SnapshotStore(tmp_path).commit(2)


def test_a_publication_sees_the_commit_it_began_at_while_rows_go_on(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_calls([call(1)])
    store.commit(1)
    publication = store.begin_publish()
    store.append_calls([call(2)])
    store.commit(2)
    store.forget({"calls": AT + 10})
    publication.write({}, NOTHING, NOTHING)
    assert query(tmp_path, "SELECT call_id FROM calls") == [("c1",)]
    published(store)
    assert query(tmp_path, "SELECT call_id FROM calls") == []


def test_a_failed_publication_leaves_the_old_one_and_the_next_works(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    published(store)
    with pytest.raises(duckdb.Error):
        store.publish({}, {"calls": [1]}, NOTHING)
    assert query(tmp_path, "SELECT version FROM pipeline") == [(1,)]
    published(store)
    assert query(tmp_path, "SELECT version FROM pipeline") == [(2,)]


def test_many_rows_flushed_before_the_commit_are_durable_only_with_it(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_calls([call(i) for i in range(60_000)])
    store.commit(1)
    store.append_calls([call(i) for i in range(60_000, 120_000)])
    store.close()
    store = SnapshotStore(tmp_path)
    store.resume(1)
    published(store)
    assert query(tmp_path, "SELECT count(*) FROM calls") == [(60_000,)]


def test_ctrl_c_within_a_query_is_ctrl_c(tmp_path: Path) -> None:
    """DuckDB takes the signal for itself, and raises an error of its own.

    Where a thread of its own has the whole query, it looks for signals at the end alone, so the query is not endless.
    """
    connection = duckdb.connect()
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), naming(tmp_path):
        connection.execute("SELECT sum(hash(range)) FROM range(1_000_000_000)").fetchall()
