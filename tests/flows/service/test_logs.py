"""Logs of all loggers come out alike, and hold neither payloads nor secrets."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from flows.service.logs import BROKER, configure


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    names = ("aftercall", "connectors", "flows")
    before = root.level, list(root.handlers), [logging.getLogger(name).level for name in names]
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name, level in zip(names, before[2], strict=True):
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


Error = pytest.CaptureFixture[str]


@pytest.fixture
def error(capsys: Error) -> Error:
    return capsys


def lines(error: Error) -> list[dict[str, Any]]:
    """What was written to standard error since we last looked."""
    return [json.loads(line) for line in error.readouterr().err.splitlines()]


def test_every_line_is_a_json_object_with_time_level_event_and_process(error: Error) -> None:
    configure(process=2)
    structlog.get_logger("aftercall.run").info("state is loaded", took_s=1.5)
    (line,) = lines(error)
    assert list(line) == ["time", "level", "event", "process", "logger", "took_s"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "event": "state is loaded",
        "process": 2,
        "logger": "aftercall.run",
        "took_s": 1.5,
    }


def test_the_standard_library_s_loggers_come_out_alike(error: Error) -> None:
    configure(process=1)
    logging.getLogger("aftercall.lane").info("partition %d is paused", 3, extra={"topic": "agent.calls"})
    logging.getLogger(BROKER).error("FAIL [thrd:main]: connection refused")
    paused, failed = lines(error)
    assert (paused["event"], paused["topic"], paused["process"]) == ("partition 3 is paused", "agent.calls", 1)
    assert (failed["level"], failed["logger"]) == ("error", "aftercall.broker")


def test_positional_arguments_are_filled_in(error: Error) -> None:
    configure()
    structlog.get_logger("aftercall.run").warning("%d of %d", 1, 2)
    assert lines(error)[0]["event"] == "1 of 2"


def test_the_level_is_that_of_our_own_loggers_others_log_warnings_only(error: Error) -> None:
    configure("debug")
    logging.getLogger("aftercall.lane").debug("shown")
    structlog.get_logger("flows.service.run").debug("shown too")
    logging.getLogger("another.package").info("not shown")
    logging.getLogger("another.package").warning("shown as well")
    assert [line["event"] for line in lines(error)] == ["shown", "shown too", "shown as well"]
    configure("warning")
    logging.getLogger("aftercall.lane").info("not shown")
    structlog.get_logger("aftercall.run").info("not shown")
    assert lines(error) == []


def test_configuring_again_does_not_log_everything_twice(error: Error) -> None:
    configure(process=0)
    configure(process=1)
    logging.getLogger("aftercall").info("once")
    assert [line["process"] for line in lines(error)] == [1]


def test_an_error_s_traceback_is_a_field_of_the_line(error: Error) -> None:
    configure()
    try:
        int("seven")
    except ValueError:
        structlog.get_logger("aftercall.run").exception("the lane failed")
        logging.getLogger("aftercall.lane").exception("the lane failed")
    for line in lines(error):
        assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'seven'")


@pytest.mark.parametrize("name", ["sasl.password", "password", "client_secret", "api_key", "token", "sasl_jaas_config"])
def test_secrets_are_masked(error: Error, name: str) -> None:
    configure()
    structlog.get_logger("aftercall").info("connected", **{name: "hunter2"})
    logging.getLogger("aftercall").info("connected", extra={name: "hunter2"})
    assert [line[name] for line in lines(error)] == ["***", "***"]


def test_payloads_are_left_out(error: Error) -> None:
    configure()
    structlog.get_logger("aftercall").info("refused", payload={"input": "a"}, output="b", head=b"c", reason="late")
    (line,) = lines(error)
    assert {line["payload"], line["output"], line["head"]} == {"[left out]"}
    assert line["reason"] == "late"


def test_long_texts_are_cut(error: Error) -> None:
    configure()
    logging.getLogger("aftercall").warning("x" * 5_000)
    assert lines(error)[0]["event"] == "x" * 2_000 + " [3000 more characters]"


def test_a_terminal_gets_lines_for_people(error: Error) -> None:
    configure(terminal=True)
    structlog.get_logger("aftercall.run").info("state is loaded", took_s=1.5)
    logging.getLogger("aftercall.lane").warning("a partition waits")
    first, second = error.readouterr().err.splitlines()
    assert "state is loaded" in first
    assert "a partition waits" in second
    with pytest.raises(json.JSONDecodeError):
        json.loads(first)


def test_logs_follow_standard_error_where_it_is_replaced(error: Error, monkeypatch: pytest.MonkeyPatch) -> None:
    configure()
    other = io.StringIO()
    monkeypatch.setattr(sys, "stderr", other)
    logging.getLogger("aftercall").info("here")
    assert not lines(error)
    assert json.loads(other.getvalue())["event"] == "here"
