"""What a route is, in every case: drawn with its propensity, or the default with a reason; nothing waits or raises."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from scipy.stats import chisquare

from aftercall import AgentCall
from aftercall.records import Arm as ArmRecord
from aftercall.routes import Arm, FileSource, RecommendationSource, Route, Routes
from aftercall.routes.source import Reader
from aftercall.routes.table import Table
from harness.recommending import NOW_S, VALID_S, recommendation
from harness.waiting import HANG_S, until

LARGE, SMALL = Arm("large", "prompt-v7"), Arm("small", "prompt-v7")
DEFAULT = Arm("careful")


def written(path: Path, *records: bytes) -> FileSource:
    file = path / "recommendations.jsonl"
    file.write_bytes(b"".join(record + b"\n" for record in records))
    return FileSource(file)


def routes_of(path: Path, *records: bytes, now: float = NOW_S, **how: Any) -> Routes:
    routes = Routes(written(path, *records), clock=lambda: now, **how)
    assert routes.ready(HANG_S)
    return routes


class Silent(RecommendationSource, Reader):
    """A source that never comes to its end."""

    def open(self) -> Reader:
        return self

    def poll(self, table: Table, timeout_s: float) -> None:
        threading.Event().wait(timeout_s)

    def close(self) -> None:
        pass


def test_draws_follow_the_weights_with_and_without_a_key(tmp_path: Path) -> None:
    expected = {LARGE: 0.75, SMALL: 0.2, DEFAULT: 0.05}
    routes = routes_of(tmp_path, recommendation("triage", expected), place=Random(11).random)
    for keys in ([None] * 20_000, range(20_000)):
        drawn = [routes.route("triage", DEFAULT, key=key) for key in keys]
        found = Counter(route.arm for route in drawn)
        assert chisquare([found[arm] for arm in expected], [20_000 * w for w in expected.values()]).pvalue > 1e-3
        assert all(route.propensity == expected[route.arm] and route.reason is None for route in drawn)


def test_a_route_has_what_a_call_logs(tmp_path: Path) -> None:
    record = recommendation("triage", {LARGE: 1.0})
    route = routes_of(tmp_path, record).route("triage", DEFAULT, key="user-1")
    assert route.recommendation_id is not None
    assert route.recommendation_id.encode() in record
    call = AgentCall(
        call_id="c1",
        occurred_at="2026-03-01T12:00:00Z",
        **{name: value for name, value in route._asdict().items() if name != "reason"},
    )
    assert (call.model, call.config, call.propensity) == ("large", "prompt-v7", 1.0)


def test_a_key_has_the_same_arm_in_every_process(tmp_path: Path) -> None:
    record = recommendation("triage", {LARGE: 0.5, SMALL: 0.5})
    one, other = routes_of(tmp_path, record), routes_of(tmp_path, record)
    for key in range(200):
        assert one.route("triage", DEFAULT, key=key) == other.route("triage", DEFAULT, key=str(key))
    assert {one.route("triage", DEFAULT, key=key).arm for key in range(200)} == {LARGE, SMALL}


def test_among_allowed_arms_the_propensity_is_that_of_the_draw(tmp_path: Path) -> None:
    routes = routes_of(tmp_path, recommendation("triage", {LARGE: 0.6, SMALL: 0.3, DEFAULT: 0.1}))
    drawn = {routes.route("triage", DEFAULT, key=key, allowed={SMALL, DEFAULT}) for key in range(500)}
    assert {(route.arm, round(route.propensity or 0, 9)) for route in drawn} == {(SMALL, 0.75), (DEFAULT, 0.25)}
    alone = routes.route("triage", DEFAULT, allowed=[("large", "prompt-v7")])
    assert (alone.arm, alone.propensity) == (LARGE, 1.0)
    none = routes.route("triage", DEFAULT, allowed={Arm("unknown")})
    assert (none.arm, none.reason, none.propensity) == (DEFAULT, "invalid", None)


def test_a_segment_has_its_own_weights(tmp_path: Path) -> None:
    record = recommendation("triage", {LARGE: 1.0}, segments={"long_input": {SMALL: 1.0}})
    routes = routes_of(tmp_path, record)
    assert routes.route("triage", DEFAULT).arm == LARGE
    assert routes.route("triage", DEFAULT, segment="long_input").arm == SMALL
    assert routes.route("triage", DEFAULT, segment="other").reason == "unknown_task"


def test_a_name_with_what_cannot_be_seen_is_the_same_task_type(tmp_path: Path) -> None:
    assert routes_of(tmp_path, recommendation("triage", {LARGE: 1.0})).route(" triage\u200b", DEFAULT).arm == LARGE


@pytest.mark.parametrize(
    ("asked", "now", "reason"),
    [("triage", NOW_S + VALID_S, "expired"), ("refund", NOW_S, "unknown_task"), ("broken", NOW_S, "invalid")],
)
def test_a_default_has_a_reason_and_no_propensity(tmp_path: Path, asked: str, now: float, reason: str) -> None:
    good = recommendation("triage", {LARGE: 1.0})
    broken = recommendation("broken", {LARGE: 1.0}).replace(b'"weight":1.0', b'"weight":0.4')
    routes = routes_of(tmp_path, good, broken, now=now)
    assert routes.route(asked, DEFAULT, key=1) == Route("careful", "default", asked, None, None, None, reason)  # type: ignore[arg-type] # one of the reasons


def test_until_the_moment_of_its_end_a_recommendation_counts(tmp_path: Path) -> None:
    record = recommendation("triage", {LARGE: 1.0})
    assert routes_of(tmp_path, record, now=NOW_S + VALID_S - 0.001).route("triage", DEFAULT).arm == LARGE


def test_a_source_that_is_not_read_to_its_end_gives_the_default() -> None:
    routes = Routes(Silent())
    assert routes.route("triage", DEFAULT).reason == "not_ready"
    assert not routes.ready(0.01)
    routes.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"task_type": None},
        {"task_type": ["triage"]},
        {"allowed": 7},
        {"segment": ["a"]},
        {"key": type("K", (), {"__str__": lambda _: 1 / 0})()},
        {"default": None},
        {"default": (1, 2, 3)},
    ],
)
def test_wrong_arguments_do_not_raise(tmp_path: Path, wrong: dict[str, Any]) -> None:
    routes = routes_of(tmp_path, recommendation("triage", {LARGE: 1.0}))
    route = routes.route(**{"task_type": "triage", "default": DEFAULT, **wrong})
    assert route.reason in {"invalid", "unknown_task"} or route.arm == LARGE
    assert routes.route("triage", DEFAULT).arm == LARGE


def test_the_wire_record_of_an_arm_is_as_good_a_default(tmp_path: Path) -> None:
    arm = ArmRecord(
        model="large", config="v1", weight=1, p_best=None, rate=None, rate_low=None, rate_high=None, n=0, status="ok"
    )
    assert routes_of(tmp_path).route("triage", arm).arm == ("large", "v1")  # type: ignore[arg-type] # by its attributes


def test_a_default_is_logged_once_and_again_after_recommendations_were_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "aftercall.routes")
    now = [NOW_S + VALID_S]
    routes = Routes(written(tmp_path, recommendation("triage", {LARGE: 1.0})), clock=lambda: now[0])
    assert routes.ready(HANG_S)
    for _ in range(100):
        routes.route("triage", DEFAULT)
    until(lambda: len(caplog.records) == 1, lambda: caplog.messages)
    now[0] = NOW_S
    assert routes.route("triage", DEFAULT).arm == LARGE
    now[0] = NOW_S + VALID_S
    for _ in range(100):
        routes.route("triage", DEFAULT)
    until(lambda: len(caplog.records) == 2, lambda: caplog.messages)
    routes.close()
    assert all("'triage' get the default arm: the newest recommendation has expired" in one for one in caplog.messages)


def test_what_a_source_raises_is_logged_once_and_the_source_opened_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aftercall.routes.reading._AGAIN_S", 0.01)
    source = written(tmp_path, recommendation("triage", {LARGE: 1.0}))
    opened: list[int] = []

    class Failing:
        def open(self) -> Reader:
            opened.append(1)
            if len(opened) < 5:
                raise OSError("the disk is gone")
            return source.open()

    routes = Routes(Failing(), clock=lambda: NOW_S)
    assert routes.ready(HANG_S)
    assert routes.route("triage", DEFAULT).arm == LARGE
    assert [one for one in caplog.messages if "OSError: the disk is gone" in one] == caplog.messages
    assert len(caplog.messages) == 1


def test_a_system_without_room_for_a_thread_gets_defaults_and_later_recommendations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aftercall.routes.reading._AGAIN_S", 0.01)
    source, start = written(tmp_path, recommendation("triage", {LARGE: 1.0})), threading.Thread.start
    refused: list[int] = []

    def refuse_twice(thread: threading.Thread) -> None:
        if thread.name == "aftercall-routes" and len(refused) < 2:
            refused.append(1)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_twice)
    routes = Routes(source, clock=lambda: NOW_S)
    assert routes.route("triage", DEFAULT).reason == "not_ready"
    until(lambda: routes.route("triage", DEFAULT).arm == LARGE, lambda: refused)
    assert len(refused) == 2


FORK = """
import os, sys, time
from aftercall.routes import Arm, FileSource, Routes
second, file = sys.argv[1:]
routes = Routes(FileSource(file), clock=lambda: {now})
assert routes.ready(600)
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert routes.route("triage", Arm("careful")).model == "large"
os.replace(second, file)
while routes.route("triage", Arm("careful")).model != "small":
    time.sleep(0.01)
"""


def test_a_forked_child_goes_on_with_what_is_known_and_reads_by_itself(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(recommendation("triage", {LARGE: 1.0}))
    second.write_bytes(recommendation("triage", {SMALL: 1.0}, seq=2))
    script = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK.replace("{now}", str(NOW_S))]
    done = subprocess.run(
        [*script, str(second), str(first)], timeout=HANG_S, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_routes_that_are_no_longer_used_leave_no_thread(tmp_path: Path) -> None:
    def reading() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "aftercall-routes"]

    routes = routes_of(tmp_path)
    assert reading()
    del routes
    until(lambda: not reading(), reading)


def test_after_close_what_is_known_counts_and_no_thread_is_left(tmp_path: Path) -> None:
    routes = routes_of(tmp_path, recommendation("triage", {LARGE: 1.0}))
    routes.close(HANG_S)
    written(tmp_path, recommendation("triage", {SMALL: 1.0}, seq=2))
    assert routes.route("triage", DEFAULT).arm == LARGE
    never = Routes(Silent())
    never.close()
    assert never.route("triage", DEFAULT).reason == "not_ready"


def test_following_loads_neither_client_nor_database_nor_pydantic_before_it_is_asked(tmp_path: Path) -> None:
    script = (
        "import sys; from aftercall.routes import *; KafkaSource('localhost:1'); SnapshotSource('x')\n"
        "routes = Routes(FileSource('none')); routes.route('triage', Arm('large'))\n"
        "print(sorted({'pydantic', 'confluent_kafka', 'duckdb', 'asyncio', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=HANG_S, check=True)
    assert done.stdout == "[]\n"
