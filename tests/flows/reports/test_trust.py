"""`aftercall trust`: what a snapshot knows of how far agents can be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aftercall.errors import ExitCode
from aftercall.times import MINUTE_US, to_us
from aftercall.trust_record import TrustRecord
from connectors.snapshot.store import SnapshotStore
from flows.cli.main import app
from models.trust import Trust, TrustSettings
from simulated.trusted import START, A, B, Minute, closed
from system.commands import table

NOTHING: dict[str, list[int]] = {"calls": []}
DAY = 24 * 60
HOURS = 24 * 8
ROWS = [
    Minute(
        START + 60 * hour,
        group,
        calls=20,
        good=18,
        bad=2,
        up=3,
        down=1,
        checks=((19, 1) if hour < HOURS - 12 else (10, 10), (20, 0), (9, 0)),
    )
    for hour in range(HOURS)
    for group in (A, B)
]
RECORDS = Trust(TrustSettings(tiers={"gold": 900})).close(closed(ROWS, START + 60 * HOURS))


def snapshot(folder: Path, records: list[TrustRecord], **settings: Any) -> Path:
    """A snapshot with these records."""
    store = SnapshotStore(folder, **settings)
    store.append_trust(records)
    store.commit(1)
    store.publish({}, NOTHING, NOTHING)
    store.close()
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return snapshot(tmp_path, RECORDS)


def said(*arguments: str, width: int = 120) -> str:
    """What the command prints."""
    done = CliRunner().invoke(app, ["trust", *arguments], env={"COLUMNS": str(width), "NO_COLOR": "1"})
    assert done.exit_code == 0, done.output
    return done.output


def test_every_record_is_a_row_and_the_last_of_each_series_is_the_newest(out: Path) -> None:
    assert table(out, "SELECT count(*), count(*) FILTER (newest) FROM trust") == [(len(RECORDS), 3)]
    last = {(record.model, record.config): record for record in RECORDS}
    for model, config, score, low, coverage, dimensions in table(
        out, "SELECT model, config, score, score_low, coverage, dimensions FROM trust WHERE newest"
    ):
        record = last[model, config]
        assert (score, low, coverage) == (record.score, record.score_low, record.coverage)
        assert json.loads(dimensions) == [part.model_dump() for part in record.dimensions]


def test_old_rows_are_forgotten_with_the_hourly_rates(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.append_trust(RECORDS)
    store.commit(1)
    store.forget({"trust": (START + 7 * DAY) * MINUTE_US})
    store.publish({}, NOTHING, NOTHING)
    store.close()
    kept = sum(to_us(record.as_of) >= (START + 7 * DAY) * MINUTE_US for record in RECORDS)
    assert table(tmp_path, "SELECT count(*) FROM trust") == [(kept,)]
    assert 0 < kept < len(RECORDS)


def test_all_task_types_have_a_line_with_the_lower_end_first(out: Path) -> None:
    text = said("--snapshot", str(out))
    whole = [record for record in RECORDS if record.model is None][-1]
    assert "trust the lower end" in text
    (line,) = [line for line in text.splitlines() if line.startswith("support")]
    assert line.split()[1:4] == [f"{value:.0f}" for value in (whole.score_low, whole.score, whole.score_high)]
    assert whole.tier is not None
    assert whole.tier in line


def test_a_task_type_has_its_dimensions_and_its_models(out: Path) -> None:
    text = said("support", "--snapshot", str(out))
    for word in ("accuracy", "reliability", "safety", "latency", "acceptance", "refund.fast", "By model:"):
        assert word in text
    assert "none: cost, format, tool_discipline." in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(out: Path, width: int) -> None:
    for arguments in (("--snapshot", str(out)), ("support", "--snapshot", str(out))):
        text = said(*arguments, width=width)
        assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def test_json_has_all_rows_as_the_records_have_them(out: Path) -> None:
    found = json.loads(said("--snapshot", str(out), "--json"))["trust"]
    last = {(record.model, record.config): record for record in RECORDS}
    wanted = [record.model_dump(mode="json", exclude={"series"}) for record in last.values()]
    order = [(row["model"] or "", row["config"] or "") for row in found]
    assert order == sorted(order)
    assert sorted(found, key=str) == sorted(({name: row[name] for name in found[0]} for row in wanted), key=str)


def test_a_task_type_that_is_not_there_and_a_snapshot_without_scores_are_said(out: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["trust", "refund", "--snapshot", str(out)])
    assert "must be one in" in str(done.exception)
    assert done.exception.exit_code == ExitCode.FAILED  # type: ignore[union-attr]
    empty = snapshot(tmp_path / "empty", [])
    done = CliRunner().invoke(app, ["trust", "--snapshot", str(empty)])
    assert done.exception.exit_code == ExitCode.UNDECIDED  # type: ignore[union-attr]
