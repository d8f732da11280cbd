"""Of each task type the greatest `seq` counts, the newest among equals; what is valid outranks what has expired."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from aftercall.routes.recommendations import Recommended
from aftercall.routes.table import Table

NOW_S = 100.0


class Step(NamedTuple):
    """A recommendation; without a `seq` a tombstone."""

    task_type: str
    seq: int | None
    valid_until: float


STEPS = st.lists(
    st.builds(Step, st.sampled_from("ab"), st.none() | st.integers(1, 5), st.sampled_from([NOW_S, NOW_S + 1])),
    max_size=12,
)


def recommended(number: int, step: Step) -> Recommended:
    return Recommended(step.task_type, step.seq or 0, f"r{number}", step.valid_until, {})


def expected(steps: list[Step], task_type: str) -> str | None:
    """The id of the one that counts: looked for from scratch, among those after the last tombstone."""
    of_task = [(number, step) for number, step in enumerate(steps) if step.task_type == task_type]
    last = max((number for number, step in of_task if step.seq is None), default=-1)
    left = [(step.valid_until > NOW_S, step.seq or 0, number) for number, step in of_task if number > last]
    return f"r{max(left)[2]}" if left else None


@given(STEPS)
def test_the_one_that_counts_is_the_same_however_they_came(steps: list[Step]) -> None:
    table = Table(lambda: NOW_S)
    for number, step in enumerate(steps):
        if step.seq is None:
            table.remove(step.task_type)
        else:
            table.put(recommended(number, step))
    for task_type in "ab":
        found = table.get(task_type)
        assert (found and found.recommendation_id) == expected(steps, task_type)


@given(STEPS, STEPS)
def test_a_source_that_gives_all_at_once_replaces_all(before: list[Step], after: list[Step]) -> None:
    table = Table(lambda: NOW_S)
    table.replace(recommended(number, step) for number, step in enumerate(before) if step.seq is not None)
    table.replace(recommended(number, step) for number, step in enumerate(after) if step.seq is not None)
    assert table.complete
    for task_type in "ab":
        found = table.get(task_type)
        kept = [step if step.seq is not None else Step("none", None, 0.0) for step in after]
        assert (found and found.recommendation_id) == expected(kept, task_type)
