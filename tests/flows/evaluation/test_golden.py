"""`aftercall golden` as a user types it: a night once, alarms, and one alert for one cause."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aftercall.errors import UserError
from aftercall.records import Alert
from flows.evaluation.golden import run_night
from flows.evaluation.golden_serve import serve_nights
from flows.settings import load
from harness.ended import Ended
from harness.suite_commands import SuiteCommands
from kafka.clusters import Cluster

BROKEN = ["c3", "c4", "c5"]
SETTINGS = """
[golden.shop]
dataset = "cases.jsonl"
agent = "planned_agent:answer"
"""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> SuiteCommands:
    (tmp_path / "aftercall.toml").write_text(SETTINGS)
    return SuiteCommands(tmp_path, monkeypatch, capfd)


@pytest.fixture
def night(suite: SuiteCommands, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run the night of a day of May 2026, at 02:30."""

    def of(day: int, *more: str) -> Ended:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return datetime(2026, 5, day, 2, 30, tzinfo=tz)

        monkeypatch.setattr("flows.cli.golden.datetime", Clock)
        return suite.run("golden", "run", "--config", "aftercall.toml", *more)

    return of


def alerts(suite: SuiteCommands) -> list[Alert]:
    path = suite.folder / ".aftercall/golden_alerts.jsonl"
    return [Alert.parse(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_first_nights_cannot_be_judged_and_then_nothing_alarms(
    suite: SuiteCommands, night: Callable[..., Ended]
) -> None:
    assert [night(day).code for day in range(1, 7)] == [4, 4, 4, 4, 0, 0]
    assert alerts(suite) == []


def test_broken_rows_open_one_alert_that_other_rows_update_and_a_good_night_closes(
    suite: SuiteCommands, night: Callable[..., Ended]
) -> None:
    suite.kept("five nights", lambda: [night(day) for day in range(1, 6)])
    suite.plan(wrong=BROKEN)
    ended = night(6)
    assert ended.code == 3
    assert "ALARM: 3 rows have regressed" in ended.out
    assert night(7).code == 3
    suite.plan(wrong=[*BROKEN, "c6"])
    assert night(8).code == 3
    suite.plan()
    assert night(9).code == 0
    assert night(10).code == 0
    found = alerts(suite)
    assert [(one.state, one.seq, one.evidence["rows"]) for one in found] == [
        ("opened", 1, BROKEN),
        ("updated", 2, [*BROKEN, "c6"]),
        ("closed", 3, []),
    ]
    assert {one.alert_id for one in found} == {found[0].alert_id}
    first = found[0]
    assert (first.kind, first.task_type, first.metric, first.severity) == (
        "golden",
        "eval:shop",
        "pass_rate",
        "critical",
    )
    assert (first.baseline, first.current, first.evidence["night"]) == (1.0, 0.9, "2026-05-06")
    assert first.reason == "golden set shop: 3 rows have regressed: c3, c4, c5"
    assert not (suite.folder / "alerts.jsonl").exists()


def test_rows_that_a_person_accepts_close_the_alert(suite: SuiteCommands, night: Callable[..., Ended]) -> None:
    suite.kept("five nights", lambda: [night(day) for day in range(1, 6)])
    suite.plan(wrong=BROKEN)
    assert [night(6).code, night(7).code, night(8, "--accept").code, night(9).code] == [3, 3, 0, 0]
    assert [one.state for one in alerts(suite)] == ["opened", "closed"]


def test_a_night_is_run_once_unless_it_is_asked_for_again(suite: SuiteCommands, night: Callable[..., Ended]) -> None:
    night(1)
    second = night(1)
    assert (second.code, second.err) == (
        0,
        "aftercall: [golden.shop]: the night of 2026-05-01 was run (--again runs it once more)\n",
    )
    assert suite.asked("c1") == 1
    night(1, "--again")
    assert suite.asked("c1") == 2


def test_a_night_that_was_interrupted_is_resumed(suite: SuiteCommands, night: Callable[..., Ended]) -> None:
    night(1)
    with closing(sqlite3.connect(suite.folder / ".aftercall/runs.sqlite")) as file, file:
        file.execute("UPDATE golden_nights SET exit_code = NULL, run_id = NULL")
        file.execute("UPDATE runs SET ended_at = NULL")
        file.execute("DELETE FROM rows WHERE case_id = 'c1'")
    suite.plan()
    assert night(1).code == 4
    assert [suite.asked("c1"), suite.asked("c2")] == [1, 0]


def test_two_processes_do_not_run_one_night(suite: SuiteCommands) -> None:
    settings = load(suite.folder / "aftercall.toml")
    refused: list[object] = []

    def while_it_is_run(done: int, total: int) -> None:
        if not refused:
            with pytest.raises(UserError, match="another runs it now") as error:
                run_night("shop", settings, datetime(2026, 5, 1, tzinfo=UTC).date())
            refused.append(error)

    assert run_night("shop", settings, datetime(2026, 5, 1, tzinfo=UTC).date(), while_it_is_run) is not None
    assert len(refused) == 1


def test_the_rule_of_the_mean_is_shown_with_its_false_alarm_rate(
    suite: SuiteCommands, night: Callable[..., Ended]
) -> None:
    (suite.folder / "aftercall.toml").write_text(f'{SETTINGS}rule = "mean"\n')
    assert [night(day).code for day in range(1, 6)] == [4, 4, 4, 4, 0]
    suite.plan(wrong=["c3"])
    assert night(6).code == 0
    suite.plan(wrong=["c3", "c4"])
    ended = night(7, "--json")
    (found,) = ended.json["nights"]
    assert ended.code == 3
    assert found["mean"]["score"] == pytest.approx(28 / 30)
    assert 0 <= found["mean"]["false_alarms"] < 0.05
    assert found["alert"]["evidence"]["false_alarm_rate"] == found["mean"]["false_alarms"]
    assert "on this set the rule alarms falsely in" in alerts(suite)[0].reason
    assert suite.asked("c3") == 1  # nothing is asked again


def test_an_alert_that_no_broker_takes_is_in_the_file(suite: SuiteCommands, night: Callable[..., Ended]) -> None:
    suite.kept("five nights", lambda: [night(day) for day in range(1, 6)])
    with (suite.folder / "aftercall.toml").open("a") as file:
        file.write('[kafka]\nbrokers = "127.0.0.1:1"\n')
    suite.plan(wrong=BROKEN)
    ended = night(6)
    assert ended.code == 3
    assert "golden_alerts.jsonl, as" in ended.out
    assert [one.state for one in alerts(suite)] == ["opened"]


def test_an_alert_goes_to_its_topic_under_its_id_until_it_closes(
    suite: SuiteCommands, night: Callable[..., Ended], broker: Cluster
) -> None:
    suite.kept("five nights", lambda: [night(day) for day in range(1, 6)])
    topic = broker.fresh_topic()
    with (suite.folder / "aftercall.toml").open("a") as file:
        file.write(f'[kafka]\nbrokers = "{broker.bootstrap}"\n[kafka.topics]\nalerts = "{topic}"\n')
    suite.plan(wrong=BROKEN)
    broken = night(6)
    suite.plan()
    assert (broken.code, night(7).code) == (3, 0)
    records = broker.read_all(topic)
    found = [Alert.parse(record.value or b"") for record in records]
    assert [(one.kind, one.state, one.evidence.get("rows") == BROKEN) for one in found] == [
        ("golden", "opened", True),
        ("golden", "closed", False),
    ]
    assert {(record.key or b"").decode() for record in records} == {found[0].alert_id} == {found[1].alert_id}
    assert f"opened: topic {topic}" in broken.out
    assert alerts(suite) == []


def test_a_service_runs_the_night_that_is_due_and_reports_what_cannot_be_run(suite: SuiteCommands) -> None:
    with (suite.folder / "aftercall.toml").open("a") as file:
        file.write('[golden.gone]\ndataset = "gone.jsonl"\nagent = "planned_agent:answer"\n')
    stop, shown = threading.Event(), list[str]()

    def show(line: str) -> None:
        shown.append(line)
        if any("gone.jsonl" in one for one in shown):
            stop.set()

    serve_nights(load(suite.folder / "aftercall.toml"), show, lambda: datetime(2026, 5, 1, 2, 30, tzinfo=UTC), stop)
    assert shown[:2] == ["shop: next at 2026-05-02 02:00 UTC", "gone: next at 2026-05-02 02:00 UTC"]
    assert any(line.startswith("shop, night of 2026-05-01: 30 of 30 cases passed") for line in shown)
    assert any(line.startswith("gone: gone.jsonl") for line in shown)
    assert suite.asked("c1") == 1


def test_without_golden_sets_there_is_nothing_to_run(suite: SuiteCommands) -> None:
    (suite.folder / "aftercall.toml").write_text("")
    ended = suite.run("golden", "run", "--config", "aftercall.toml")
    assert (ended.code, ended.err.split(";")[0]) == (
        2,
        "aftercall: [golden.NAME]: there must be a golden set in the settings",
    )
    (suite.folder / "aftercall.toml").write_text(SETTINGS)
    assert (
        "must be a golden set of the settings; got 'x'"
        in suite.run("golden", "run", "x", "--config", "aftercall.toml").err
    )


@pytest.mark.parametrize("wrong", ['at = "2"', 'at = "25:00"', 'at = "02:00:30"', 'timezone = "Berlin"', "repeat = 0"])
def test_a_wrong_setting_is_refused(suite: SuiteCommands, wrong: str) -> None:
    (suite.folder / "aftercall.toml").write_text(f"{SETTINGS}{wrong}\n")
    ended = suite.run("golden", "run", "--config", "aftercall.toml")
    assert ended.code == 2
    assert f"golden.shop.{wrong.split(' ', maxsplit=1)[0]}" in ended.err


def test_alerts_are_records_that_the_sdk_reads(suite: SuiteCommands, night: Callable[..., Ended]) -> None:
    suite.kept("five nights", lambda: [night(day) for day in range(1, 6)])
    suite.plan(wrong=BROKEN)
    (found,) = night(6, "--json").json["nights"]
    assert json.loads(alerts(suite)[0].model_dump_json()) == found["alert"]
    assert found["sent"].endswith("golden_alerts.jsonl")
