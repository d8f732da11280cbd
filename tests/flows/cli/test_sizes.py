"""Sizes as people read them: quantities with a unit, a table of 80 columns, a warning only where memory is lacking."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from aftercall.errors import UsageError
from flows.cli.options import per_second
from flows.cli.sizes import as_plain, as_table, memory_excess, physical_memory, readable, readable_s
from flows.reports.sizing import Sizing, sizing

DAY = timedelta(days=1)


def sized(
    calls_per_second: float = 10.0, horizon: timedelta = 30 * DAY, task_horizons: dict[str, timedelta] | None = None
) -> Sizing:
    return sizing(
        calls_per_second,
        horizon=horizon,
        task_horizons=task_horizons or {},
        allowed_lateness=timedelta(hours=1),
        epoch=timedelta(seconds=10),
    )


@pytest.mark.parametrize("text", ["0", "-1", "-0.0", "nan", "inf", "-inf", "1e999", "1e10", "many", "", "1/s"])
def test_a_rate_that_is_no_number_above_0_is_one_sentence_with_a_remedy(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        per_second(text, "--rate")
    rule = "must be a number above 0, at most 1,000,000,000"
    remedy = "give the mean over all task types, such as 12.5"
    assert str(refused.value) == f"--rate: {rule}; got {text!r} ({remedy})"


@pytest.mark.parametrize(("text", "rate"), [("12.5", 12.5), ("1e9", 1e9), ("5e-324", 5e-324), ("3", 3.0)])
def test_any_other_rate_is_taken(text: str, rate: float) -> None:
    assert per_second(text, "--rate") == rate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"), (0.4, "< 1 B"), (1, "1 B"), (999.4, "999 B"), (999.5, "1.0 kB"), (99_949, "99.9 kB"),
        (99_950, "100 kB"), (999_499, "999 kB"), (2.0764e9, "2.1 GB"), (5e20, "500 EB"), (5e21, "5000 EB"),
    ],
)  # fmt: skip
def test_a_quantity_has_two_or_three_digits_and_a_prefix(value: float, text: str) -> None:
    assert readable(value, "B") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "< 0.1 s"), (0.1, "0.1 s"), (9.94, "9.9 s"), (9.96, "10 s"), (119.4, "119 s"), (120, "2 min"),
        (7_140, "119 min"), (7_200, "2.0 h"), (3.6e7, "10,000.0 h"),
    ],
)  # fmt: skip
def test_a_time_is_in_seconds_minutes_or_hours(seconds: float, text: str) -> None:
    assert readable_s(seconds) == text


def test_one_horizon_gives_one_line_for_all_task_types() -> None:
    assert as_table(sized()).splitlines()[:4] == [
        "# Estimates at 10 calls/s:",
        "#",
        "# horizon  calls held  memory  disk up to  resume  task types",
        "#     30d      26.0 M  2.9 GB      4.7 GB    16 s  all",
    ]


def test_several_horizons_give_a_line_each_with_its_task_types() -> None:
    head = "# Estimates at 1,234.5 calls/s, each line as if all calls had its horizon:"
    assert as_table(sized(1234.5, task_horizons={"refund": 7 * DAY, "triage": 7 * DAY, "same": 30 * DAY})).splitlines()[
        :5
    ] == [
        head,
        "#",
        "# horizon  calls held   memory  disk up to  resume  task types",
        "#     30d       3.2 G   359 GB      577 GB  32 min  all others, same",
        "#      7d       751 M  84.1 GB      135 GB   8 min  refund, triage",
    ]


@pytest.mark.parametrize("rate", [5e-324, 0.37, 123_456.789, 1e9])
@pytest.mark.parametrize("horizon", [timedelta(seconds=1), 30 * DAY, 36_500 * DAY])
def test_the_table_fits_80_columns_however_many_task_types_there_are(rate: float, horizon: timedelta) -> None:
    names = {f"task-{number:03}": 7 * DAY for number in range(300)} | {"x" * 256: 90 * DAY, "y" * 256: 90 * DAY}
    lines = as_table(sized(rate, horizon, names)).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(" and 299 more" in line or " and 298 more" in line for line in lines)
    assert any(line.endswith("x... and 1 more") for line in lines)


def test_names_with_line_ends_leave_a_comment_one_line() -> None:
    table = as_table(sized(task_horizons={"a\nb = 1\x1b": 7 * DAY}))
    assert r"a\nb = 1\x1b" in table
    assert all(line.startswith("#") for line in table.splitlines())


def test_plain_values_are_whole_and_have_every_task_type() -> None:
    plain = as_plain(sized(0.1, task_horizons={f"t{number:03}": DAY for number in range(100)}))
    assert (plain["calls_per_second"], plain["epoch"], plain["epoch_bytes"]) == (0.1, "10s", 180)
    assert plain["horizons"][0] == {
        "horizon": "30d",
        "task_types": (),
        "default": True,
        "calls_held": 259_560,
        "memory_bytes": 29_070_720,
        "state_bytes": 23_360_400,
        "state_bytes_at_most": 46_720_800,
        "resume_s": 0.156,
    }
    assert len(plain["horizons"][1]["task_types"]) == 100


def test_a_warning_names_the_longest_horizon_and_what_to_do_and_only_where_memory_is_lacking() -> None:
    sizes = sized(task_horizons={"short": DAY, "long": 90 * DAY})
    needed = sizes.horizons[0].memory_bytes
    assert memory_excess(sizes, needed) is None
    assert memory_excess(sizes, math.inf) is None
    warning = memory_excess(sizes, needed / 2)
    assert warning is not None
    assert warning.startswith("--calls-per-second: held calls must fit into the memory of this machine, 4.4 GB; ")
    assert "at 10 calls/s with a horizon of 90d they would take 8.7 GB (shorten the horizon, " in warning


def test_the_memory_of_this_machine_is_known() -> None:
    assert 1e8 < physical_memory() < 1e15
