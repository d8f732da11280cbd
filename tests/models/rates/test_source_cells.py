"""Rates of sources against those of verdicts: as if each source in turn were the only one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import HOUR_US, MINUTE_US, NEVER
from models.messages import CellDeltas, DelayDeltas, LatencyDeltas, OpinionDeltas
from models.rates import FrozenSources, RateCells, SourceCells, tables_of_sources
from models.stats import delay_distribution as delay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.messages import Group

DAY_US = 24 * HOUR_US
START = 1_760_000_000_000_000 // DAY_US * DAY_US
GROUPS = [("support", "gpt", "v1"), ("support", "gpt", "v2"), ("bills", "opus", "default")]
SOURCES = ("judge", "human_review")
SHARED = ("resolved", "successes", "failures", "rate", "rate_low", "rate_high")
CORRECTED = ("corrected_rate", "corrected_low", "corrected_high", "maturity")


class Made(NamedTuple):
    """One call, and what each source says of it after how long: success, delay in µs; None where it says nothing."""

    group: Group
    at: int
    said: tuple[tuple[bool, int] | None, ...]


Step = tuple[list[Made], int]
"""Calls with their opinions, and +1 or -1: gained or taken back."""


def calls_message(made: Sequence[Made], of: int | None, sign: int) -> tuple[Any, ...]:
    """As the cells of verdicts take it: calls, and as verdicts the opinions of one source, or none."""
    code = np.array([GROUPS.index(m.group) for m in made], np.int32)
    at = np.array([m.at for m in made], np.int64)
    minute, hour = (at // MINUTE_US).astype(np.int32), (at // HOUR_US).astype(np.int32)
    said = [None if of is None else m.said[of] for m in made]
    spoken = np.array([one is not None for one in said], np.bool_)
    good = np.array([one is not None and one[0] for one in said], np.int32)
    bucket = delay.delay_bucket(np.array([0 if one is None else one[1] for one in said], np.int64))
    ones = np.full(len(made), sign, np.int32)
    nothing = 0 * ones
    # Calls stay: only opinions are taken back.
    calls = ones if sign > 0 else nothing
    cells = CellDeltas(code, minute, calls, ones * good, ones * (spoken - good), nothing, nothing.astype(np.int64))
    delays = DelayDeltas(code[spoken], hour[spoken], good[spoken].astype(np.int8), bucket[spoken], ones[spoken])
    latencies = LatencyDeltas(code, minute, nothing.astype(np.int16) - 1, nothing)
    return GROUPS, cells, latencies, delays


def opinions_message(made: Sequence[Made], sign: int) -> tuple[Any, ...]:
    rows = [
        (GROUPS.index(m.group), source, m.at // MINUTE_US, said[0], delay.delay_bucket(np.array([said[1]]))[0], sign)
        for m in made
        for source, said in enumerate(m.said)
        if said is not None
    ]
    kinds = (np.int32, np.int32, np.int32, np.int8, np.int16, np.int8)
    columns = [np.array([row[i] for row in rows], kind) for i, kind in enumerate(kinds)]
    return GROUPS, list(SOURCES), OpinionDeltas(*columns)


def fed(steps: Sequence[Step], forget_us: int | None, *, resume: bool) -> tuple[list[RateCells], SourceCells]:
    """The cells with each source's opinions as verdicts, then those with none; and the cells of the sources."""
    rates, sources, newest = [RateCells() for _ in (*SOURCES, None)], SourceCells(), NEVER
    for made, sign in steps:
        for cells, of in zip(rates, (*range(len(SOURCES)), None), strict=True):
            cells.apply(*calls_message(made, of, sign))
        sources.apply(*opinions_message(made, sign))
        newest = max([newest, *(m.at for m in made)])
        of_both: list[RateCells | SourceCells] = [*rates, sources]
        for one in of_both:
            one.advance(newest - 3 * MINUTE_US, newest)
            if forget_us is not None:
                one.forget_hours(forget_us)
        if resume:
            sources = SourceCells.from_state(sources.state())
    return rates, sources


def rows(table: dict[str, Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """By group and window."""
    keys = (
        "task_type",
        "model",
        "config",
        *(name for name in ("grain", "window_start", "span", "as_of") if name in table),
    )
    listed = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    found = {tuple(row[name] for name in keys): row for row in listed if row["resolved"]}
    assert len(found) == sum(bool(row["resolved"]) for row in listed)
    return found


SAID = st.none() | st.tuples(st.booleans(), st.integers(0, 100 * HOUR_US))
CALLS = st.builds(Made, st.sampled_from(GROUPS), st.integers(START, START + 9 * DAY_US), st.tuples(SAID, SAID))
RECENT = CALLS.map(lambda m: m._replace(at=START + 9 * DAY_US - (m.at - START) // 60))
OLD = CALLS.map(lambda m: m._replace(at=START - (m.at - START) * 20))
TRAFFIC = st.lists(st.one_of(CALLS, RECENT, OLD), max_size=50)


@settings(max_examples=60, deadline=None)
@given(
    TRAFFIC,
    TRAFFIC,
    st.integers(0, 3),
    st.sampled_from([None, START + 30 * DAY_US, START + 3 * DAY_US, START - 60 * DAY_US]),
    st.booleans(),
)
def test_a_source_has_the_rates_that_it_would_have_alone(
    early: list[Made],
    late: list[Made],
    minutes_back: int,
    forget_us: int | None,
    resume: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    """Whatever came in which order and was taken back, folded on the way or resumed in between."""
    made = sorted([*early, *late], key=lambda m: m.at) or [Made(GROUPS[0], START, ((True, 5), None))]
    steps: list[Step] = [(early, 1), (early[::2], -1), (made[len(made) // 2 :], 1), (early[1::2], -1)]
    rates, sources = fed([step for step in steps if step[0]], forget_us, resume=resume)
    as_of = (max(m.at for m in made) // MINUTE_US + 1 - minutes_back) * MINUTE_US
    for live in (True, False):
        tables = tables_of_sources(rates[-1].frozen(), sources.frozen(), as_of, live=live)
        for number, source in enumerate(SOURCES):
            for mine, wanted in zip(tables, rates[number].tables(as_of, live=live), strict=True):
                compare(rows({k: v[mine["source"] == source] for k, v in mine.items()}), rows(wanted))


def compare(mine: dict[tuple[Any, ...], dict[str, Any]], wanted: dict[tuple[Any, ...], dict[str, Any]]) -> None:
    assert mine.keys() == wanted.keys()
    for key, row in mine.items():
        verdicts = wanted[key]
        assert [row[name] for name in SHARED] == pytest.approx([verdicts[name] for name in SHARED])
        if verdicts["pending"] and row["maturity"] == 1.0:
            # All calls are so old that the source says no more: then the rate is what it is.
            assert [row[name] for name in CORRECTED[:3]] == [row[name] for name in SHARED[3:]]
            assert verdicts["maturity"] == pytest.approx(1.0)
        else:
            assert [row[name] for name in CORRECTED] == pytest.approx(
                [verdicts[name] for name in CORRECTED], nan_ok=True
            )


def test_a_slow_judge_is_corrected_by_its_own_delays() -> None:
    """It fails after 2 days and passes after an hour: of yesterday's calls it looks perfect. People answer at once."""
    rng = np.random.default_rng(5)
    now = START + 40 * DAY_US
    at = np.sort(rng.integers(START, now, 40 * 100))
    good = rng.random(len(at)) < 0.7
    slow = np.where(good, HOUR_US, 2 * DAY_US) * np.exp(rng.normal(0, 0.3, len(at)))
    made = [
        Made(
            GROUPS[0],
            int(a),
            ((bool(g), int(s)) if a + s < now else None, (bool(g), MINUTE_US) if a + MINUTE_US < now else None),
        )
        for a, g, s in zip(at, good, slow, strict=True)
    ]
    rates, sources = fed([(made[i : i + 500], 1) for i in range(0, len(made), 500)], None, resume=False)
    _, current = tables_of_sources(rates[-1].frozen(), sources.frozen(), now, live=True)
    found = {(row["source"], row["span"]): row for row in _dicts(current)}
    judge, people = found["judge", "48h"], found["human_review", "48h"]
    assert judge["rate"] > 0.9
    assert judge["corrected_low"] < 0.7 < judge["corrected_high"]
    assert judge["maturity"] < 0.9
    assert people["rate"] == pytest.approx(people["corrected_rate"], abs=0.01)
    assert people["maturity"] > 0.99


def test_many_pairs_are_computed_in_parts_with_equal_results(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    made = [
        Made(GROUPS[i % 3], START + i * 9 * MINUTE_US, ((rng.random() < 0.8, i * MINUTE_US), (rng.random() < 0.5, 60)))
        for i in range(900)
    ]
    rates, sources = fed([(made, 1)], None, resume=False)
    whole = tables_of_sources(rates[-1].frozen(), sources.frozen(), made[-1].at, live=True)
    monkeypatch.setattr("models.rates.source_tables._PAIRS_AT_ONCE", 1)
    monkeypatch.setattr("models.rates.source_tables._WINDOWS_AT_ONCE", 7)
    parts = tables_of_sources(rates[-1].frozen(), sources.frozen(), made[-1].at, live=True)
    for one, two in zip(whole, parts, strict=True):
        assert list(one) == list(two)
        for name, column in one.items():
            np.testing.assert_array_equal(column, two[name], name)


def test_without_opinions_the_tables_are_empty() -> None:
    for table in tables_of_sources(RateCells().frozen(), SourceCells().frozen(), START, live=True):
        assert {len(column) for column in table.values()} == {0}


def test_a_frozen_copy_does_not_see_what_comes_later() -> None:
    made = [Made(GROUPS[0], START, ((True, 5), None))]
    rates, sources = fed([(made, 1)], None, resume=False)
    frozen = sources.frozen()
    sources.apply(*opinions_message(made, -1))

    def resolved(cells: FrozenSources) -> int:
        return len(tables_of_sources(rates[-1].frozen(), cells, START + HOUR_US, live=True)[0]["rate"])

    assert (resolved(frozen), resolved(sources.frozen())) == (2, 0)


def _dicts(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
