"""Numbers the calls of tools for proxies, which see many cases and runs: at most so many at once."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Final
from urllib.parse import quote, unquote

from aftercall.evals.faults.injection import Injection, Injections

MAX_CASES: Final = 100_000
CASE_KEY: Final = "aftercall-case"
RUN_KEY: Final = "aftercall-run"


class ToolNumbers:
    """Counts the calls of each tool per run and case. Threads may share it.

    The run is not drawn by: two runs of one suite have the same faults. Counts of the 100,000 cases last seen are kept.
    """

    def __init__(self, injections: Injections) -> None:
        self._injections = injections
        self._counts: OrderedDict[tuple[str, str], Counter[str]] = OrderedDict()
        self._lock = Lock()

    def begin(self, run: str, case: str, tool: str) -> tuple[int, Injection | None]:
        """The number of this call of the tool in the case, and what breaks it."""
        with self._lock:
            counts = self._counts.setdefault((run, case), Counter())
            self._counts.move_to_end((run, case))
            if len(self._counts) > MAX_CASES:
                self._counts.popitem(last=False)
            counts[tool] += 1
            number = counts[tool]
        return number, self._injections.fault(case, tool, number)


def baggage(run: str, case: str) -> str:
    """The header `baggage` (W3C) of a request to an agent, which tracing libraries pass on to its tools.

    >>> baggage("r1", "a case")
    'aftercall-run=r1,aftercall-case=a%20case'
    """
    return f"{RUN_KEY}={quote(run, safe='')},{CASE_KEY}={quote(case, safe='')}"


def run_and_case(header: str) -> tuple[str, str]:
    """What a header `baggage` says of the run and the case; empty where it says nothing.

    >>> run_and_case("user=7, aftercall-case=a%20case;x=1")
    ('', 'a case')
    """
    found: dict[str, str] = {}
    for member in header.split(","):
        key, _, value = member.partition(";")[0].partition("=")
        found.setdefault(key.strip(), unquote(value.strip()))
    return found.get(RUN_KEY, ""), found.get(CASE_KEY, "")


def run_and_case_of(headers: Mapping[str, str]) -> tuple[str, str]:
    """The same of the headers of a request: `X-Aftercall-Run` and `X-Aftercall-Case` go before `baggage`.

    >>> run_and_case_of({"X-Aftercall-Case": "c1", "baggage": "aftercall-case=c2,aftercall-run=r"})
    ('r', 'c1')
    """
    given = {name.lower(): value for name, value in headers.items()}
    run, case = run_and_case(given.get("baggage", ""))
    return unquote(given.get("x-aftercall-run", "")) or run, unquote(given.get("x-aftercall-case", "")) or case
