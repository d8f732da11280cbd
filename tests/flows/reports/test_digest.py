"""`aftercall digest`: what a snapshot has of a week."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aftercall.errors import ExitCode
from aftercall.records import Digest, DigestEntry
from connectors.snapshot.store import SnapshotStore
from flows.cli.main import app
from flows.reports.digest import read_digest
from flows.reports.snapshot_reader import InsightError

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
    assert "▼ refund · atlas 90.0 % 80.0 % -10.0 points 1,200 9,000.0" in shown
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
