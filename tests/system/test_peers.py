"""The column of aftercall in docs/peers.md is what a replay of the four kinds of feedback counts."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from system.commands import aftercall, table
from system.documents import document
from system.feedback_kinds import EARLY, EARLY_CALLS, KINDS, write

pytestmark = pytest.mark.slow

COUNTED = """
SELECT model, sum(successes)::INTEGER, sum(failures)::INTEGER, sum(pending)::INTEGER FROM rates
WHERE grain = '1d' AND config = 'default' AND task_type = 'kinds' GROUP BY 1 ORDER BY 1
"""


class Counts(NamedTuple):
    successes: int
    failures: int
    pending: int

    @property
    def shown(self) -> str:
        """As the document shows it."""
        known = self.successes + self.failures
        rate = f"{100 * self.successes / known:.1f} %"
        return f"{rate} of {known}, {self.pending} pending" if self.pending else rate


@pytest.fixture(scope="module", name="counts")
def _counts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counts]:
    folder = tmp_path_factory.mktemp("peers")
    made = write(folder)
    done = aftercall(folder, "replay", "--calls", made.calls, "--outcomes", made.outcomes, "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    return {model: Counts(*rest) for model, *rest in table(folder / "out", COUNTED)}


def test_every_kind_of_feedback_is_counted_as_it_is_true(counts: dict[str, Counts]) -> None:
    assert {kind: counts[kind] for kind in KINDS} == {
        "reopened": Counts(60, 40, 0),
        "duplicated": Counts(60, 40, 0),
        "retracted": Counts(60, 20, 20),
        "out-of-order": Counts(60, 40, 0),
    }


def test_feedback_sent_before_its_call_is_joined(counts: dict[str, Counts]) -> None:
    assert counts[EARLY] == Counts(EARLY_CALLS, 0, 0)


def test_the_document_shows_what_was_counted(counts: dict[str, Counts]) -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|.*\| ([^|]+) \|$", document("docs/peers.md"), re.MULTILINE)
    assert dict(rows) == {kind: counts[kind].shown for kind in KINDS}
