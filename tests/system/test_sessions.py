"""Feedback on conversations, as the command line shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from system.commands import aftercall, assert_one_sentence, call, counts, lines, minute, outcome, table

pytestmark = pytest.mark.slow
FILES = ("--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl")


def thumb(session: str, at: float, **fields: Any) -> dict[str, Any]:
    """What a user says about a session."""
    said = {"outcome_id": f"thumb-{at}", "session_id": session, "occurred_at": minute(at), "source": "user_feedback"}
    return {**said, "success": False, **fields}


def written(here: Path, calls: list[dict[str, Any]], outcomes: list[dict[str, Any]]) -> None:
    (here / "calls.jsonl").write_bytes(lines(calls))
    (here / "outcomes.jsonl").write_bytes(lines(outcomes))


def test_show_has_what_was_said_about_the_session_of_a_call(tmp_path: Path) -> None:
    chain = [call(0, session_id="s"), call(1, session_id="s", parent_call_id="call-0"), call(2, session_id="s")]
    below = {"call_id": "call-0", "scope": "descendants", "success": True}
    written(tmp_path, chain, [thumb("s", 9, reason="no use"), thumb("s", 10, **below), thumb("t", 11)])
    found = counts(aftercall(tmp_path, "replay", *FILES, "--out", "out", "--json"))
    assert (found["records"], found["outcomes"], found["waiting"], found["dead_letters"]) == (6, 2, 1, 0)
    shown = aftercall(tmp_path, "show", "call-2", "--snapshot", "out/outcomes.duckdb", "--json")
    (statement,) = json.loads(shown.stdout)["statements"]
    assert (statement["outcome_id"], statement["reason"], statement["success"]) == ("session:thumb-9", "no use", False)
    said = table(tmp_path / "out", "SELECT call_id FROM statements WHERE outcome_id = 'session:thumb-10' ORDER BY 1")
    assert said == [("call-0",), ("call-1",)]


def test_outcomes_that_name_a_session_as_their_call_are_counted_and_those_of_nothing_are_not(tmp_path: Path) -> None:
    named = [outcome(0, outcome_id=f"o{number}", call_id=name) for number, name in enumerate(("s", "none", "s", "t"))]
    written(tmp_path, [call(0, session_id="s"), call(1), {**call(1), "session_id": "t"}], named)
    found = counts(aftercall(tmp_path, "replay", *FILES, "--out", "out", "--json"))
    assert (found["completed"], found["outcomes"], found["waiting"], found["dead_letters"]) == (1, 0, 4, 0)
    (warning,) = found["warnings"]
    assert (warning["kind"], warning["subject"], warning["count"]) == ("session_ids", "call_id", 3)
    sentence = "3 waiting outcomes name as call_id what no call has but a session, such as 's' (send it as session_id"
    assert warning["detail"].startswith(sentence)


def test_more_sessions_than_may_be_known_are_counted_with_an_alert(tmp_path: Path) -> None:
    """Twelve may: one in each shard. The oldest go, and what waits for them is an orphan."""
    calls = [call(number, session_id=f"s-{number}") for number in range(60)]
    written(tmp_path, calls, [thumb(f"s-{number}", number + 0.5) for number in range(60)])
    options = ("--out", "out", "--json")
    found = counts(aftercall(tmp_path, "replay", *FILES, *options, AFTERCALL_JOIN__MAX_SESSIONS="12"))
    names = ("calls", "completed", "outcomes", "duplicates", "waiting", "dead_letters")
    assert found["records"] == 120 == sum(found[name] for name in names)
    ((dropped,),) = table(tmp_path / "out", "SELECT sessions_dropped FROM pipeline")
    assert dropped >= 48
    (alerts,) = {kind for (kind,) in table(tmp_path / "out", "SELECT kind FROM alerts")}
    assert alerts == "session_cap"
    assert_one_sentence(
        aftercall(tmp_path, "replay", *FILES, "--out", "other", AFTERCALL_JOIN__SESSION_WAIT="-1s"),
        2,
        "join.session_wait",
    )


def test_intervals_allow_for_one_verdict_of_a_whole_conversation_from_the_first_hour_on(tmp_path: Path) -> None:
    """40 calls of ten conversations, each with one thumb; and the same calls, judged one by one, without sessions."""
    calls = [call(number, model="m", session_id=f"s-{number // 4}") for number in range(40)]
    thumbs = [thumb(f"s-{number}", 4 * number + 10, success=number > 1, scope="all") for number in range(10)]
    written(tmp_path, calls, thumbs)
    counts(aftercall(tmp_path, "replay", *FILES, "--out", "shared", "--json"))
    alone = [{name: value for name, value in one.items() if name != "session_id"} for one in calls]
    written(tmp_path, alone, [outcome(number, success=number > 7) for number in range(40)])
    counts(aftercall(tmp_path, "replay", *FILES, "--out", "alone", "--json"))
    query = "SELECT successes, failures, design_effect, rate_low, rate_high FROM current_rates WHERE span = '7d'"
    ((*shared, low, high),), ((*single, least, most),) = (table(tmp_path / out, query) for out in ("shared", "alone"))
    assert (shared, single) == ([32, 8, 4.0], [32, 8, 1.0])
    assert low < least < most < high
