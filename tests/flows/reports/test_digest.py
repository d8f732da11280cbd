"""`aftercall digest`: what a snapshot has of a week."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from aftercall.errors import ExitCode
from aftercall.records import Alert, Digest, DigestEntry
from aftercall.times import HOUR_US, to_us
from benchmarks.coverage import apply_calls
from connectors.snapshot.store import SnapshotStore
from flows.cli.main import app
from flows.reports.digest import read_digest
from flows.reports.snapshot_reader import InsightError
from models.rates import RateCells

NOTHING: dict[str, list[int]] = {"calls": []}


def digest(week: str, day: int, *entries: DigestEntry) -> Digest:
    issued = datetime(2026, 11, day, tzinfo=UTC)
    return Digest.sealed(week=week, issued_at=issued, groups=70, false_discovery_rate=0.05, entries=list(entries))


def entry(model: str | None, direction: str, e_value: float) -> DigestEntry:
    return DigestEntry(
        task_type="refund",
        model=model,
        config=None,
        direction=direction,  # type: ignore[arg-type]
        baseline=0.9,
        current=0.8,
        trials=1200,
        e_value=e_value,
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    store = SnapshotStore(tmp_path)
    store.append_digests([digest("2026-W46", 16, entry("atlas", "down", 9000.0), entry(None, "up", 3000.0))])
    store.append_digests([digest("2026-W47", 23)])
    store.commit(1)
    store.publish({}, NOTHING, NOTHING)
    store.close()
    return tmp_path


def test_a_digest_comes_back_as_it_was_written_strongest_first(out: Path) -> None:
    found = read_digest(out / "outcomes.duckdb", "2026-W46")
    assert (found.groups, found.false_discovery_rate, found.issued_at.day) == (70, 0.05, 16)
    assert [(one["model"], one["direction"], one["e_value"]) for one in found.entries] == [
        ("atlas", "down", 9000.0),
        (None, "up", 3000.0),
    ]
    assert set(found.entries[0]) == set(DigestEntry.model_fields)


def test_the_newest_week_is_shown_also_where_nothing_changed(out: Path) -> None:
    shown = CliRunner().invoke(app, ["digest", "--snapshot", str(out)])
    assert shown.exit_code == 0
    assert "No certain change in 70 groups, week 2026-W47" in " ".join(shown.output.split())


def test_a_week_is_shown_with_its_promise(out: Path) -> None:
    shown = " ".join(CliRunner().invoke(app, ["digest", "--snapshot", str(out), "--week", "2026-W46"]).output.split())
    assert "2 changes in 70 groups" in shown
    assert "on average at most 5% of these are false" in shown
    assert "refund atlas 90.0 80.0 -10.0 1,200" in shown
    plain = json.loads(
        CliRunner().invoke(app, ["digest", "--snapshot", str(out), "--week", "2026-W46", "--json"]).output
    )
    assert plain["week"] == "2026-W46"
    assert plain["issued_at"] == "2026-11-16T00:00:00Z"
    assert len(plain["entries"]) == 2


def test_a_week_that_is_not_there_is_refused_with_those_that_are(out: Path) -> None:
    with pytest.raises(InsightError, match=r"must be one in .* \(2026-W46 to 2026-W47\); got 2026-W01"):
        read_digest(out / "outcomes.duckdb", "2026-W01")


def test_before_the_first_week_has_ended_one_sentence_reports_it(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.publish({}, NOTHING, NOTHING)
    store.close()
    with pytest.raises(InsightError, match="none has ended yet") as caught:
        read_digest(tmp_path / "outcomes.duckdb")
    assert caught.value.exit_code is ExitCode.UNDECIDED


def test_digests_are_dropped_with_the_alerts_of_their_time(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_digests([digest("2026-W46", 16), digest("2026-W47", 23)])
    store.commit(1)
    store.forget({"alerts": int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 1_000_000})
    store.publish({}, NOTHING, NOTHING)
    store.close()
    assert read_digest(tmp_path / "outcomes.duckdb").week == "2026-W47"
    with pytest.raises(InsightError):
        read_digest(tmp_path / "outcomes.duckdb", "2026-W46")


def alert(number: int, opened: int, closed: int | None = None) -> Alert:
    at, over = (None if day is None else datetime(2026, 11, day, 12, tzinfo=UTC) for day in (opened, closed))
    return Alert.sealed(
        seq=1, alert_id=f"{number:032x}", state="opened" if over is None else "closed", kind="drift",
        severity="critical", opened_at=at, updated_at=at, closed_at=over, task_type="refund", model="atlas",
        config=None, metric="success_rate", direction="down", baseline=0.9, current=0.7, effect_low=-0.25,
        effect_high=-0.15, changed_at=at, promise=None, reason="r", evidence={}, failures_per_day=8.0 * number,
    )  # fmt: skip


def with_calls(folder: Path, first_day: int, now: datetime) -> Path:
    """A snapshot of a call an hour since a day of November, with alerts and the digests of W46 and W47."""
    start = datetime(2026, 11, first_day, tzinfo=UTC)
    hours = np.arange((now - start) // timedelta(hours=1))
    at = to_us(start) + hours * HOUR_US
    cells = RateCells()
    apply_calls(
        cells, [("refund", "atlas", "v1")], np.zeros(len(at), int), at, hours % 10 > 0, np.full(len(at), 60_000_000)
    )
    cells.advance(to_us(now), to_us(now) - 1)
    store = SnapshotStore(folder)
    store.append_digests([digest("2026-W46", 16, entry("atlas", "down", 9000.0)), digest("2026-W47", 23)])
    store.append_alerts([alert(1, 12, 14), alert(2, 18, 20), alert(3, 19)])
    store.commit(1)
    store.publish({"watermark": to_us(now)}, *cells.tables(to_us(now), live=True))
    store.close()
    return folder / "outcomes.duckdb"


def test_alerts_of_the_week_are_named_beside_what_else_changed(tmp_path: Path) -> None:
    path = with_calls(tmp_path, 2, datetime(2026, 11, 25, 7, 30, tzinfo=UTC))
    found = read_digest(path)
    assert [int(one["alert_id"], 16) for one in found.alerts] == [3, 2]
    assert [int(one["alert_id"], 16) for one in read_digest(path, "2026-W46").alerts] == [1]
    shown = " ".join(CliRunner().invoke(app, ["digest", "--snapshot", str(tmp_path)]).output.split())
    assert shown.startswith("● open alert · critical · refund · atlas: 90.0 % -> 70.0 %")
    assert "● alert, closed since · critical" in shown
    assert "Beside these alerts, no certain change in 70 groups, week 2026-W47" in shown


def test_the_running_week_is_shown_so_far(tmp_path: Path) -> None:
    path = with_calls(tmp_path, 2, datetime(2026, 11, 25, 7, 30, tzinfo=UTC))
    running = read_digest(path).running
    assert running is not None
    assert (running.lookback, running.as_of.hour) == (timedelta(hours=2 * 24 + 7), 7)
    (refund,) = running.tasks
    assert refund.overall.current.calls == 2 * 24 + 7
    plain = json.loads(CliRunner().invoke(app, ["digest", "--json", "--snapshot", str(tmp_path)]).output)
    assert plain["running"]["week"] == "2026-W48"
    assert plain["running"]["task_types"][0]["task_type"] == "refund"
    shown = CliRunner().invoke(app, ["digest", "--snapshot", str(tmp_path)]).output
    assert "Week 2026-W48 so far" in shown
    assert read_digest(path, "2026-W47").running is None


def test_a_week_whose_digest_is_there_is_over_though_calls_end_within_it(tmp_path: Path) -> None:
    assert read_digest(with_calls(tmp_path, 2, datetime(2026, 11, 22, 23, 54, tzinfo=UTC))).running is None


def test_a_week_that_has_just_begun_is_not_shown(tmp_path: Path) -> None:
    assert read_digest(with_calls(tmp_path, 2, datetime(2026, 11, 23, 0, 30, tzinfo=UTC))).running is None


def test_of_the_first_week_nothing_can_be_said(tmp_path: Path) -> None:
    path = with_calls(tmp_path, 11, datetime(2026, 11, 25, tzinfo=UTC))
    assert read_digest(path, "2026-W46").first
    assert not read_digest(path, "2026-W47").first
    shown = " ".join(
        CliRunner().invoke(app, ["digest", "--snapshot", str(tmp_path), "--week", "2026-W46"]).output.split()
    )
    assert "Week 2026-W46 was the first: nothing can be said of it" in shown
    assert "No certain change" not in shown


def test_before_the_first_week_has_ended_open_alerts_are_named_all_the_same(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_alerts([alert(1, 12, 14), alert(3, 19)])
    store.commit(1)
    store.publish({}, NOTHING, NOTHING)
    store.close()
    done = CliRunner().invoke(app, ["digest", "--snapshot", str(tmp_path)])
    assert done.output.count("●") == 1
    assert "of the first nothing can be said" in str(done.exception)
    answer = json.loads(CliRunner().invoke(app, ["digest", "--json", "--snapshot", str(tmp_path)]).output)
    assert (answer["week"], len(answer["alerts"])) == (None, 1)
