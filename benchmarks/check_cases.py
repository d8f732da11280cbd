"""Replays the cases of ../shared/cases and prints wanted against got: `make check-cases`.

    python -m benchmarks.check_cases [--only NUMBER ...]

The exit code is 1 where a case comes out wrong whose issue is done, and 0 with a sentence if there are no cases. Those
of later issues are shown beside, and decide nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.cases.answers import ANSWERS
from benchmarks.cases.door import DOOR
from benchmarks.cases.later import LATER
from benchmarks.cases.running import Check, Found
from benchmarks.cases.statements import STATEMENTS

CASES: Final = Path(__file__).parents[2] / "shared" / "cases"
CHECKS: Final = sorted((*DOOR, *STATEMENTS, *ANSWERS, *LATER), key=lambda check: check.case)
_WIDTH: Final = 80


def main(arguments: Sequence[str] | None = None, cases: Path = CASES) -> int:
    """Replay, compare, print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_cases", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NUMBER", help="only these cases, such as 16 24")
    options = parser.parse_args(arguments)
    wrong, later, right, absent = [], 0, 0, set()
    for number in sorted({check.case for check in CHECKS}):
        if options.only and number not in options.only:
            continue
        case = next(iter(sorted(cases.glob(f"{number}-*"))), None)
        if case is None:
            absent.add(number)
            continue
        for check in (check for check in CHECKS if check.case == number):
            is_right = _shown(check, case)
            later += check.later
            right += is_right and not check.later
            if not is_right and not check.later:
                wrong.append(f"{number} ({check.how})")
    if absent:
        print(f"skipped, as not beside this checkout: {', '.join(sorted(absent))}")
    if not (wrong or right or later):
        print(f"check-cases: there is no case in {cases.parent.name}/{cases.name}, so nothing was checked")
        return 0
    print(f"check-cases: {right} right, {len(wrong)} wrong, {later} of later issues")
    for name in wrong:
        print(f"wrong: {name}", file=sys.stderr)
    return 1 if wrong else 0


def _shown(check: Check, case: Path) -> bool:
    """Replay one, print it, and return whether it is right."""
    with tempfile.TemporaryDirectory(prefix="aftercall-case-") as folder:
        found = check.found(case, Path(folder))
    is_right = found == check.wanted
    verdict = "right" if is_right else "open" if check.later else "WRONG"
    print(textwrap.fill(f"{case.name}, {check.how}: {'a later issue, ' * check.later}{verdict}", _WIDTH))
    print(_line("wanted", check.wanted))
    print(_line("got", found), flush=True)
    return is_right


def _line(name: str, found: Found) -> str:
    values = "; ".join(f"{key}: {value}" for key, value in found.items())
    return textwrap.fill(f"  {name:<6}  {values}", _WIDTH, subsequent_indent=" " * 10, break_on_hyphens=False)


if __name__ == "__main__":
    sys.exit(main())
