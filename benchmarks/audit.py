"""Fails on known advisories about the packages of constraints.txt.

    python -m benchmarks.audit PIP_AUDIT [OPTION_OF_PIP_AUDIT ...]

`[tool.aftercall.advisories]` of pyproject.toml lists those that are accepted: with a reason, and until a day after
which they fail again. Packages that the service does not know about fail too: no answer is not a good one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from aftercall.errors import ExitCode

ROOT: Final = Path(__file__).parents[1]
CONSTRAINTS: Final = ROOT / "constraints.txt"
Accepted = Mapping[str, Mapping[str, Any]]
"""Advisory -> `package`, `reason`, `until` (a date)."""


def main(arguments: Sequence[str]) -> ExitCode:
    """Run pip-audit, judge its answer, and print what is wrong; NO where an advisory or an entry of the list is."""
    program, *options = arguments
    command = [program, "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [*command, "--requirement", str(CONSTRAINTS), *options], capture_output=True, text=True, check=False
    )
    try:
        audited = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print(f"pip-audit: must answer; it ended with {done.returncode}: {done.stderr.strip()}", file=sys.stderr)
        return ExitCode.FAILED
    with (ROOT / "pyproject.toml").open("rb") as file:
        accepted: Accepted = tomllib.load(file)["tool"]["aftercall"]["advisories"]
    unknown = not_audited(audited, applying(CONSTRAINTS.read_text(encoding="utf-8")))
    wrong = list(judged(audited, accepted, datetime.now(UTC).date()))
    if unknown:
        print(unknown, file=sys.stderr)
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    if not wrong and not unknown:
        print(f"{len(audited)} packages: no advisory but those accepted ({len(accepted)})")
    return ExitCode.NO if wrong else ExitCode.FAILED if unknown else ExitCode.DONE


def applying(constraints: str) -> set[str]:
    """The packages of `constraints.txt` whose marker holds here."""
    lines = re.findall(r"^\w.*==.*?(?= \\$|$)", constraints, re.MULTILINE)
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name) for one in found if one.marker is None or one.marker.evaluate()}


def not_audited(audited: Sequence[Mapping[str, Any]], wanted: set[str]) -> str:
    """A sentence about the packages for which there is no answer, with the first reason; empty without any."""
    reasons = {package["name"]: package.get("skip_reason") for package in audited}
    missing = {name: reason for name in sorted(wanted) if (reason := reasons.get(name, "not in the answer"))}
    if not missing:
        return ""
    return (
        f"{len(missing)} of {len(wanted)} packages must be audited and are not; {next(iter(missing.values()))} (give "
        "the same command where the service can be reached, or name another one in AUDIT)"
    )


def judged(audited: Sequence[Mapping[str, Any]], accepted: Accepted, today: date) -> Iterator[str]:
    """A sentence for each advisory that is not accepted, or no longer, and for each entry without an advisory."""
    seen = set()
    for package in audited:
        for advisory in package.get("vulns", ()):
            place = f"{package['name']} {package['version']}"
            fixed = ", ".join(advisory["fix_versions"]) or "no version"
            names = {advisory["id"], *advisory["aliases"]}
            entries = {name for name in names & set(accepted) if accepted[name]["package"] == package["name"]}
            seen |= entries
            if not entries:
                yield f"{place}: {advisory['id']}, fixed in {fixed}: {advisory['description'].strip()[:200]}"
            for name in sorted(entries):
                if accepted[name]["until"] < today:
                    yield f"{place}: {name} was accepted until {accepted[name]['until']}; fixed in {fixed}"
    for name in sorted(set(accepted) - seen):
        yield f"{accepted[name]['package']}: {name} is accepted and no longer reported (take it out of pyproject.toml)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
