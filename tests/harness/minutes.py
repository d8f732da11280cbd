"""A pytest plugin: prints at the end how long the tests of each mark took, so that a growing suite is seen to grow.

A test counts in each of its marks; `rest` is what has none of them. Minutes are summed over the tests, and so are more
than the run took where several ran beside each other. CPU is that of the test's process, of children that ended, and of
commands that another process started for it (`count`).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator

import pytest

MARKS = ("slow", "long", "kafka", "statistics", "system", "real", "rest", "all")
DEAREST = 40
"""How many files are named."""
_elsewhere_s = [0.0]
_HEADER = f"{'mark':<11}{'tests':>6}{'minutes':>9}{'CPU min':>9}"


class Minutes:
    """Sums over the reports of a run; reports of workers arrive as they were made."""

    def __init__(self) -> None:
        self._cpu_before = _cpu_s()
        self._tests: dict[str, set[str]] = defaultdict(set)
        self._wall_s: dict[str, float] = defaultdict(float)
        self._cpu_s: dict[str, float] = defaultdict(float)
        self._of_files: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """In the process that ran the test: put its marks and its CPU seconds into the report."""
        report = yield
        now = _cpu_s()
        report.__dict__["minutes"] = (sorted({mark.name for mark in item.iter_markers()}), now - self._cpu_before)
        self._cpu_before = now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """In the process that prints: add them up."""
        names, cpu_s = getattr(report, "minutes", ((), 0.0))
        for mark in _counted(names):
            self._tests[mark].add(report.nodeid)
            self._wall_s[mark] += report.duration
            self._cpu_s[mark] += cpu_s
        self._of_files[report.nodeid.partition("::")[0]] += cpu_s

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if self._tests:
            terminalreporter.section("minutes per mark")
            for line in [*self.lines(), "", *self.dearest()]:
                terminalreporter.write_line(line)

    def lines(self) -> list[str]:
        """The table: a header, and a line for each mark that some test has."""
        return [_HEADER] + [
            f"{mark:<11}{len(self._tests[mark]):>6}{self._wall_s[mark] / 60:>9.1f}{self._cpu_s[mark] / 60:>9.1f}"
            for mark in MARKS
            if mark in self._tests
        ]

    def dearest(self) -> list[str]:
        """The files that took the most CPU seconds, a line each."""
        dear = sorted(self._of_files.items(), key=lambda item: -item[1])[:DEAREST]
        return [f"{cpu_s:>7.1f} CPU s  {file}" for file, cpu_s in dear if cpu_s >= 1]


def count(cpu_s: float) -> None:
    """Count what a process took that a test caused and that is no child of the test's process, in CPU seconds."""
    _elsewhere_s[0] += cpu_s


def counted_s() -> float:
    """The sum of what was counted."""
    return _elsewhere_s[0]


def pytest_configure(config: pytest.Config) -> None:
    """Count from now on."""
    config.pluginmanager.register(Minutes(), "minutes-per-mark")


def _counted(names: tuple[str, ...] | list[str]) -> list[str]:
    known = [name for name in names if name in MARKS]
    return [*(known or ["rest"]), "all"]


def _cpu_s() -> float:
    """Of this process, of its children that have ended, and of what was counted, in seconds."""
    return sum(os.times()[:4]) + counted_s()
