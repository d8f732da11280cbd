"""Rules of the user's own code run beside the agent, each for a second, and nothing that they do reaches it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from aftercall import Client, Judgement
from aftercall.contracts.contract import ContractError
from aftercall.guarding import runner
from aftercall.testing import MemoryTransport
from harness import guarding as rules
from harness.guarding import SHORT, code, guarding, sent, written
from harness.waiting import HANG_S, until

PRIVATE = "the order of Mrs Miller"


@pytest.mark.parametrize(
    ("name", "result", "details"),
    [
        ("has_order", "pass", ""),
        ("does_not_say", "not_applicable", "the function returned None"),
        ("raises", "error", "the function raised LookupError"),
        ("exits", "error", "the function raised SystemExit"),
        ("counts", "error", "the function returned no True, False, None, nor one of these with a text"),
    ],
)
def test_what_a_function_does_is_one_of_the_results(tmp_path: Path, name: str, result: str, details: str) -> None:
    with guarding(written(tmp_path, code(name))) as guard:
        (check,) = guard.call("x", lambda text: PRIVATE).verification.result(HANG_S).checks
        assert (check.result, check.details) == (result, details)
        (call,) = sent(guard)
        assert call["checks"][0]["result"] == result
        assert "Miller" not in str(call)


def test_a_rule_whose_condition_does_not_hold_is_not_run(tmp_path: Path) -> None:
    with guarding(written(tmp_path, code("raises", when={"segment": "long"}))) as guard:
        (check,) = guard.call("x", str).verification.result(HANG_S).checks
    assert (check.result, check.details) == ("not_applicable", "when: the call has no segment")


def test_what_it_says_in_words_is_sent_only_where_texts_are(tmp_path: Path) -> None:
    path = written(tmp_path, code("has_order_in_words"))
    for capture in ("usage", "text"):
        client = Client(transport=MemoryTransport(at_once=False), spool=None, capture=capture)
        with guarding(path, client=client) as guard:
            (check,) = guard.call("x", lambda text: PRIVATE).verification.result(HANG_S).checks
            assert check.details == f"looked into: {PRIVATE}"
            assert (PRIVATE in str(sent(guard))) is (capture == "text")


def test_one_that_hangs_is_an_error_and_its_thread_is_replaced(tmp_path: Path) -> None:
    rules.release.clear()
    with guarding(written(tmp_path, SHORT, code("hangs"), code("has_order"))) as guard:
        results = [guard.call("x", lambda text: "order") for _ in range(2)]
        for result in results:
            short, hung, order = result.verification.result(HANG_S).checks
            assert (short.result, hung.result, order.result) == ("pass", "error", "pass")
            assert hung.details == "the function took more than 1 s"
        assert all(call["checks"][1]["result"] == "error" for call in sent(guard))
        assert (guard.stats().slow_runs, guard.stats().left_threads) == (2, 2)
        rules.release.set()
        until(lambda: not guard.stats().left_threads, guard.stats)
        (_, late, _) = guard.call("x", lambda text: "order").verification.result(HANG_S).checks
        assert late.result == "pass"


@pytest.mark.slow
def test_threads_that_hang_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MOST_LEFT", 2)
    rules.release.clear()
    before = threading.active_count()
    with guarding(written(tmp_path, code("hangs"))) as guard:
        results = [guard.call("x", str) for _ in range(30)]
        errors = [result.verification.result(HANG_S).checks[0] for result in results]
        assert {error.result for error in errors} == {"error"}
        assert sum(error.details.startswith("not run") for error in errors) >= 28
        assert guard.stats().left_threads == 2
        assert threading.active_count() <= before + 4  # of the guard, of the client, and the two
        assert len(sent(guard)) == 30
    until(lambda: threading.active_count() <= before, threading.enumerate)


def test_calls_do_not_wait_longer_than_their_events_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event goes with the checks that there are, and the judgement is what was sent."""
    monkeypatch.setattr("aftercall.guarding.guarded_call.LATE_S", 0.2)
    monkeypatch.setattr("aftercall.guarding.worker.RUN_S", 0.1)
    rules.release.clear()
    with guarding(written(tmp_path, SHORT, code("hangs"))) as guard:
        result = guard.call("x", str)
        (call,) = sent(guard)
        assert [check["result"] for check in call["checks"]] == ["pass", "error"]
        assert result.verification.done()
        assert result.verification.checks[1].details.startswith("not run in time")
        rules.release.set()
        assert guard.flush(HANG_S)
        assert result.verification.checks[1].result == "error"
        assert guard.stats().balanced


def test_on_violation_may_raise_and_hang(tmp_path: Path) -> None:
    rules.release.clear()
    heard = []

    def hear(judgement: Judgement) -> None:
        heard.append(judgement.call_id)
        if len(heard) == 1:
            raise SystemExit
        rules.release.wait(HANG_S)

    with guarding(written(tmp_path, SHORT), on_violation=hear) as guard:
        ids = [guard.call("a b c d", str).call_id for _ in range(3)]
        assert len(sent(guard)) == 3
        until(lambda: len(heard) == 3 and guard.stats().uncalled == 2, guard.stats)
    assert heard == ids


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("harness.guarding:missing", "harness.guarding:missing raises AttributeError"),
        ("harness.no_such:rule", "harness.no_such:rule raises ModuleNotFoundError"),
        ("harness.guarding:PRELUDE_S", "raises AttributeError"),
        ("harness.guarding:SHORT", "must be a function; harness.guarding:SHORT is a dict"),
    ],
)
def test_a_function_that_is_not_there_is_said_when_the_guard_is_made(
    tmp_path: Path, function: str, reason: str
) -> None:
    rule: dict[str, Any] = {"id": "mine", "type": "python", "function": function}
    path = written(tmp_path, rule)
    with pytest.raises(ContractError) as wrong, guarding(path):
        pass
    assert f"{path}, rule 'mine', function: " in str(wrong.value)
    assert reason in str(wrong.value)
