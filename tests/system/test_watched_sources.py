"""`[drift] sources` on the command line: what a source says is watched, whatever decides; bad values are refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from system.commands import aftercall, assert_one_sentence, call, counts, lines, minute, outcome

pytestmark = pytest.mark.slow
EVERY, DAYS, FALLS = 6, 14, 10
"""A call every six minutes, of one model; the judge is stricter from the tenth day on."""
SETTINGS = '[join]\nhorizon = "24h"\n[drift]\nsources = ["judge", "user_fedback"]\n[service]\nfolder = "out"\n'
UNSEEN = (
    "drift.sources: 'user_fedback' has said nothing of any call yet, so it is not watched (seen: judge, user_feedback)"
)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with settings, and files in which users decide and a judge speaks too."""
    folder, draw = tmp_path_factory.mktemp("judged"), random.Random(5)
    calls, outcomes = list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(0, DAYS * 1440, EVERY):
        calls.append(call(number, model="m", latency_ms=None))
        at = {"user_feedback": draw.randrange(1, 60), "judge": draw.randrange(60, 400)}
        passes = {"user_feedback": 0.9, "judge": 0.9 if number < FALLS * 1440 else 0.6}
        outcomes += [
            outcome(
                number,
                outcome_id=source,
                source=source,
                success=draw.random() < passes[source],
                occurred_at=minute(number + at[source]),
                scorer="judge-v2" if source == "judge" and number >= FALLS * 1440 else "judge-v1",
            )
            for source in at
        ]
    (folder / "calls.jsonl").write_bytes(lines(calls))
    (folder / "outcomes.jsonl").write_bytes(lines(sorted(outcomes, key=lambda one: str(one["occurred_at"]))))
    (folder / "aftercall.toml").write_text(SETTINGS)
    (folder / "plain.toml").write_text('[join]\nhorizon = "24h"\n')
    return folder


def replay(folder: Path, out: str, *more: str, config: str = "aftercall.toml") -> list[dict[str, Any]]:
    """The alerts that a replay writes, of which some must be there."""
    files = ("--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl")
    found = counts(aftercall(folder, "replay", *files, "--config", config, "--out", out, "--json", *more))
    assert found["warnings"] == [] or [one["detail"] for one in found["warnings"]] == [UNSEEN]
    return [json.loads(line) for line in (folder / out / "alerts.jsonl").read_text().splitlines()]


def test_a_judge_that_becomes_stricter_is_an_alert_while_users_decide(judged: Path) -> None:
    alerts = [one for one in replay(judged, "out") if one["kind"] == "drift"]
    assert {one["metric"] for one in alerts} == {"success_rate:judge"}
    first = alerts[0]
    assert (first["state"], first["direction"], first["severity"]) == ("opened", "down", "warning")
    assert first["reason"].startswith("Success rate by source 'judge' alone of task 'summarise', model 'm'")
    assert first["promise"] is not None
    assert first["mark"]["source"] == "judge"
    assert replay(judged, "two", "--workers", "2") == replay(judged, "out")
    status = aftercall(judged, "status", "--snapshot", "out")
    assert f"Warning: {UNSEEN}" in status.stdout
    shown = aftercall(judged, "insights", "summarise", "--snapshot", "out")
    assert "read what judge has said since then" in shown.stdout
    checked = aftercall(judged, "check", "--config", "aftercall.toml", "--no-broker")
    assert (checked.returncode, checked.stderr) == (0, f"aftercall: {UNSEEN}\n")


def test_without_the_setting_nothing_of_it_is_an_alert(judged: Path) -> None:
    alerts = replay(judged, "plain", config="plain.toml")
    assert not [one for one in alerts if one["metric"].startswith("success_rate")]
    checked = aftercall(judged, "check", "--config", "plain.toml", "--no-broker")
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ('["judge", "judge"]', "must name each once; 'judge' is there twice"),
        ('["silence"]', "must not name 'silence'"),
        ('[""]', "must have at least 1 character"),
        ("3", "must be a valid list; got 3"),
        (json.dumps([f"s-{i}" for i in range(17)]), "must name at most 16 sources; it names 17"),
    ],
)
def test_a_bad_value_ends_a_replay_before_it_starts(sound: Path, value: str, part: str) -> None:
    (sound / "aftercall.toml").write_text(f"[drift]\nsources = {value}\n")
    done = aftercall(sound, "replay", "--calls", "calls.jsonl", "--config", "aftercall.toml", "--out", "out")
    assert_one_sentence(done, 2, "drift.sources", part)
    assert not (sound / "out").exists()
