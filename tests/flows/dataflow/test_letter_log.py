"""Dead letters are logged together: a line a minute, with one example that no terminal executes."""

from __future__ import annotations

import logging

import pytest

from aftercall.records import DeadLetter
from flows.dataflow.letter_log import EVERY_S, LetterLog


class Wheel:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def letter(reason: str, detail: str = "why", offset: int = 7) -> DeadLetter:
    origin = {"topic": "agent.calls", "partition": 3, "offset": offset}
    return DeadLetter.sealed(
        reason=reason, detail=detail, origin=origin, size=1, sha256="0" * 64, payload="a secret of the payload"
    )


@pytest.fixture
def wheel() -> Wheel:
    return Wheel()


@pytest.fixture
def log(wheel: Wheel, caplog: pytest.LogCaptureFixture) -> LetterLog:
    caplog.set_level(logging.INFO, "aftercall.dead_letters")
    return LetterLog(wheel)


def test_the_first_line_comes_at_once_and_the_others_once_a_minute(
    log: LetterLog, wheel: Wheel, caplog: pytest.LogCaptureFixture
) -> None:
    log.log()
    log.add(letter("future", "too far ahead"))
    log.log()
    for second in range(1, 300):
        wheel.now = second
        log.add(letter("late", "came late", offset=second))
        log.add(letter("future"))
        log.log()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1 + 299 // EVERY_S
    assert lines[:2] == [
        "dead letters: 1 future; the first: future at agent.calls/3, offset 7: too far ahead",
        "dead letters: 60 late, 60 future; the first: late at agent.calls/3, offset 1: came late",
    ]


def test_the_end_logs_the_rest_and_nothing_is_logged_twice(log: LetterLog, caplog: pytest.LogCaptureFixture) -> None:
    log.add(letter("future"))
    log.log()
    log.add(letter("late"))
    log.log()
    log.log(at_once=True)
    log.log(at_once=True)
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "dead letters: 1 future",
        "dead letters: 1 late",
    ]


def test_an_example_is_escaped_and_cut_and_has_no_payload(log: LetterLog, caplog: pytest.LogCaptureFixture) -> None:
    log.add(letter("bad_time", "\x1b[31m\n" + "x" * 10_000))
    log.log()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.isprintable()
    assert "\\x1b[31m\\n" in line
    assert len(line) < 250
    assert "secret" not in line
