"""Failed trials of one batch by error: gained and withdrawn, by the beginning of the error's text."""

from __future__ import annotations

from aftercall.times import MINUTE_US
from models.join.call_places import CallPlace, Known
from models.join.deltas import Deltas
from models.join.failed_trials import ERROR_LENGTH
from models.join.ledger import End
from models.messages import Group

NAMES: list[Group] = [("t", "a", "1"), ("t", "b", "1")]
FAILED: End = (False, "call")
RIGHTED: End = (True, "human_review")


def failed_trials(
    *steps: tuple[int, dict[int, End], int, str | None], known_from: int = 5
) -> list[tuple[Group, int, str, int]]:
    sources: list[str] = []

    def code(source: str) -> int:
        if source not in sources:
            sources.append(source)
        return sources.index(source)

    deltas = Deltas(code)
    for group, ends, sign, error in steps:
        deltas.add_call_trials(CallPlace(group, 125 * MINUTE_US, 5), ends, sign, Known(error, known_from))
    changes = deltas.changes("00", 0, NAMES, sources, [""] * len(NAMES))
    assert set(changes.hours.failed.tolist()) <= {2}
    columns = (column.tolist() for column in changes.failed)
    return [(changes.names[group], at, changes.errors[error], n) for group, at, error, n in zip(*columns, strict=True)]


def test_failed_trials_count_by_the_beginning_of_their_error() -> None:
    long = "x" * (ERROR_LENGTH + 9)
    assert failed_trials(
        (1, {5: FAILED}, 1, "\n timeout: 30 s \n  at fetch()"),
        (1, {5: FAILED}, 1, "timeout: 30 s"),
        (1, {5: FAILED}, 1, None),
        (0, {5: FAILED, 7: RIGHTED, 9: FAILED}, 1, long),
    ) == [
        (NAMES[0], 5, long[:ERROR_LENGTH], 1),
        (NAMES[0], 9, long[:ERROR_LENGTH], 1),
        (NAMES[1], 5, "timeout: 30 s", 2),
    ]


def test_a_failure_that_a_later_statement_takes_back_is_taken_off() -> None:
    assert failed_trials((0, {5: FAILED}, -1, "timeout"), (0, {5: RIGHTED}, 1, "timeout")) == [
        (NAMES[0], 5, "timeout", -1)
    ]
    assert failed_trials((0, {5: FAILED}, -1, "timeout"), (0, {5: FAILED, 7: RIGHTED}, 1, "timeout")) == []


def test_a_failure_before_its_error_was_known_counts_without_it() -> None:
    late = (0, {5: FAILED, 7: RIGHTED, 9: FAILED}, 1, "timeout")
    assert failed_trials(late, known_from=9) == [(NAMES[0], 9, "timeout", 1)]
    assert failed_trials(late, known_from=10) == []
