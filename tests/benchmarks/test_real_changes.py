"""Which alerts count as finding a labelled change, and that a permutation leaves nothing but chance."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.real_changes import NEAR, WIDTHS, Alert, judge, plain
from benchmarks.real_permutations import RULES, SLOW, Stream, alerts_of, on_rates

AT = datetime(2023, 7, 3, 1, 23, 20, tzinfo=UTC)
LABEL = {
    "task_type": "prime",
    "model": "gpt-4",
    "after": "0613",
    "change_at": AT.isoformat(),
    "rate_before": 0.84,
    "rate_after": 0.51,
    "n_after": 1000,
}


def alert(**fields: Any) -> Alert:
    known: dict[str, Any] = {
        "task_type": "prime",
        "model": "gpt-4",
        "config": None,
        "direction": "down",
        "opened_at": AT + timedelta(minutes=6),
        "changed_at": AT,
        "baseline": 0.84,
        "current": 0.4,
    }
    return Alert(**(known | fields))


@pytest.mark.parametrize("task", ["prime", "*", "opinionqa"])
@pytest.mark.parametrize("model", ["gpt-4", None, "gpt-3.5-turbo"])
@pytest.mark.parametrize("config", ["0613", "default", None, "0314"])
def test_a_change_is_found_by_an_alert_that_covers_it(task: str, model: str | None, config: str | None) -> None:
    one = alert(task_type=task, model=model, config=config)
    (found,), false = judge([LABEL], [one])
    covered = task in {"prime", "*"} and model in {"gpt-4", None} and config != "0314"
    assert (found.alerts, false) == (((one,), []) if covered else ((), [one]))
    by = plain([found], false)["found"][0]["by"]
    assert by == (None if not covered else "wider" if model is None else "model")


@pytest.mark.parametrize(
    "wrong",
    [
        {"direction": "up"},
        {"opened_at": AT - timedelta(seconds=1)},
        {"changed_at": AT + NEAR + timedelta(seconds=1)},
        {"changed_at": AT - NEAR - timedelta(seconds=1)},
    ],
)
def test_an_alert_of_another_time_or_direction_is_a_false_one(wrong: dict[str, Any]) -> None:
    one = alert(**wrong)
    (found,), false = judge([LABEL], [one])
    assert (found.alerts, false) == ((), [one])


def test_one_alert_on_several_task_types_finds_the_changes_of_all_at_its_time() -> None:
    labels = [LABEL | {"task_type": task, "change_at": (AT + late).isoformat()} for task, late in LATE.items()]
    found, false = judge(labels, [alert(task_type="*")])
    assert [bool(one.alerts) for one in found] == [True, True, False]
    assert false == []


LATE = {"prime": timedelta(0), "opinionqa": timedelta(minutes=5), "sensitiveq": timedelta(days=1)}


def test_every_scope_has_one_width() -> None:
    scopes = product(["prime", "*"], ["gpt-4", None], ["0613", None])
    widths = Counter(alert(task_type=t, model=m, config=c).width for t, m, c in scopes)
    assert [widths[width] for width in WIDTHS] == [1, 1, 2, 4]


def stream(verdicts: list[bool], pace: timedelta = SLOW) -> Stream:
    groups = [("prime", "gpt-4"), ("prime", "gpt-3.5-turbo")]
    rows = {
        group: [
            {
                "call_id": f"{group[1]}-{at}",
                "task_type": group[0],
                "model": group[1],
                "latency_ms": 100.0 + at % 7,
                "cost_usd": 0.001,
                "source": "answer",
                "success": good,
            }
            for at, good in enumerate(verdicts)
        ]
        for group in groups
    }
    return Stream(rows, dict.fromkeys(groups, AT), pace)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 999))
def test_a_permutation_has_the_same_rows_at_the_same_times(verdicts: list[bool], seed: int) -> None:
    before = stream(verdicts)
    after = before.permuted(seed)
    for group, rows in before.rows.items():
        assert sorted(row["call_id"] for row in rows) == sorted(row["call_id"] for row in after.rows[group])
        assert sum(row["success"] for row in rows) == sum(row["success"] for row in after.rows[group])
    assert after.starts == before.starts
    assert after.rows == before.permuted(seed).rows
    assert after.group_weeks == before.group_weeks


def test_a_group_counts_from_its_first_call_to_its_last_and_so_does_its_task_type() -> None:
    assert stream([True] * 1009).group_weeks == pytest.approx(3.0)


def test_a_collapse_is_found_and_in_its_permutation_nothing_is() -> None:
    # Nine in ten succeed for six days, then three in ten.
    verdicts = [at % 10 != 0 for at in range(6 * 144)] + [at % 10 < 3 for at in range(2 * 144)]
    settings = RULES.settings()
    collapsed = stream(verdicts)
    (one,) = on_rates(alerts_of(collapsed.traffic(), settings))
    change = AT + 6 * timedelta(days=1)
    assert (one.model, one.direction) == (None, "down"), "both models fell"
    assert change < one.opened_at < change + timedelta(hours=6)
    assert on_rates(alerts_of(collapsed.permuted(1).traffic(), settings)) == []
