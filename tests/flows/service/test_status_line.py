"""On a terminal one line below the log is updated in place; nowhere else."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Iterator

import pytest
import structlog

from connectors.metrics import Figures
from flows.service import logs
from flows.service.status_line import StatusLine

WIDTH = 80
_MARK = b"\0"


class Screen:
    """A terminal of 80 columns that standard error is connected to; `rows` is what a user sees."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._bytes = b""

    def configure(self, process: int = 0) -> None:
        """Send logs here; in the test itself, as pytest connects standard error again after the fixtures."""
        self._patch.setattr(sys, "stderr", self.stream)
        logs.configure(process=process)

    def written(self) -> str:
        """All that was written so far: the terminal passes it on a moment later, up to a mark that follows it."""
        os.write(self.stream.fileno(), _MARK)
        while not self._bytes.endswith(_MARK):
            self._bytes += os.read(self._master, 65_536)
        self._bytes = self._bytes.removesuffix(_MARK)
        return self._bytes.decode()

    def rows(self) -> list[str]:
        """Applies carriage returns, line ends and the code that erases to the end of the line; leaves out colours."""
        rows = [""]
        for part in re.split(r"(\r\n|\r|\x1b\[K)", re.sub(r"\x1b\[[\d;]*m", "", self.written())):
            if part == "\r\n":
                rows.append("")
            elif part == "\x1b[K":
                rows[-1] = ""  # only ever after a carriage return
            elif part != "\r":
                rows[-1] += part
        return [row.rstrip() for row in rows]

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    root = logging.getLogger()
    before = root.level, list(root.handlers), {name: logging.getLogger(name).level for name in ("aftercall", "flows")}
    made = Screen(monkeypatch)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    yield made
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()
    made.close()


def test_the_status_is_the_last_row_and_log_lines_come_above_it(screen: Screen) -> None:
    screen.configure()
    log = logging.getLogger("aftercall.run")
    logs.show_status("10 records/s")
    assert screen.rows() == ["10 records/s"]
    log.info("one")
    assert ["one" in screen.rows()[0], screen.rows()[1]] == [True, "10 records/s"]
    logs.show_status("2 records/s")
    log.info("two")
    rows = screen.rows()
    assert len(rows) == 3
    assert ["one" in rows[0], "two" in rows[1], rows[2]] == [True, True, "2 records/s"]
    logs.show_status("")
    log.info("three")
    rows = screen.rows()
    assert ["three" in rows[2], rows[3:]] == [True, [""]]
    assert not any("records/s" in row for row in rows)


def test_a_log_line_and_the_status_are_written_in_one_piece(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces another process of the run could write."""
    screen.configure()
    logs.show_status("10 records/s")
    pieces: list[str] = []
    monkeypatch.setattr(screen.stream, "write", pieces.append)
    logging.getLogger("aftercall.run").info("one")
    assert len(pieces) == 1
    assert pieces[0].startswith("\r\x1b[K")
    assert pieces[0].endswith("\n10 records/s")


def test_a_status_that_is_too_long_is_cut_or_it_could_not_be_erased(screen: Screen) -> None:
    screen.configure()
    logs.show_status("x" * 500)
    assert screen.rows() == ["x" * (WIDTH - 1)]


def test_a_status_executes_nothing(screen: Screen) -> None:
    screen.configure()
    logs.show_status("a\x1b[2Jb")
    assert "\x1b[2J" not in screen.written()
    assert screen.rows() == ["a\\x1b[2Jb"]


def test_another_process_of_the_run_erases_the_status_before_it_writes(screen: Screen) -> None:
    """Only process 0 shows one, but the terminal is one."""
    screen.configure(process=1)
    screen.stream.write("the status of process 0")
    screen.stream.flush()
    logging.getLogger("aftercall.run").info("one")
    assert "the status" not in screen.rows()[0]


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_there_is_none_where_the_user_or_the_terminal_wants_none(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    screen.configure()
    assert not logs.has_status()
    logs.show_status("10 records/s")
    logging.getLogger("aftercall.run").info("one")
    assert "records/s" not in screen.written()
    assert "\x1b[K" not in screen.written()


def test_there_is_none_in_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    logs.configure()
    assert not logs.has_status()
    logs.show_status("10 records/s")
    assert capsys.readouterr().err == ""


def test_the_line_shows_rate_lag_alerts_calls_snapshot_and_pauses_first() -> None:
    now = iter((0.0, 2.0, 2.0))
    line = StatusLine(monotonic=lambda: next(now))
    assert line.text(Figures(5_000, 1_200, 70_394, 2, 12.4), ["ahead", "broker"]) == (
        "paused: ahead, broker | 2,500 records/s | 1,200 behind | 2 open alerts | 70,394 calls pending | "
        "snapshot 12 s old"
    )
    assert line.text(Figures(5_000, None, None, None, None), []) == "0 records/s"


def test_with_several_processes_it_says_of_which_it_is() -> None:
    assert StatusLine(3).text(Figures(0, None, None, None, None), []) == "process 0 of 3 | 0 records/s"
