"""The promise on false alarms is divided by one table, and none of it is given twice or lost."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drift.budget import ALWAYS, BUDGET, REST, part_of_source, shares
from models.drift.settings import DriftSettings

DOCUMENT = Path(__file__).parents[3] / "docs" / "statistics.md"


def test_the_shares_of_the_table_sum_to_one() -> None:
    assert sum(line.share for line in BUDGET.values()) == 1
    pools = {
        pool: sum(line.share for line in BUDGET.values() if line.pool == pool) for pool in ("outcomes", "declared")
    }
    assert pools == {"outcomes": Fraction(1, 2), "declared": Fraction(1, 8)}
    assert sum(part_of_source(place) for place in range(10_000)) == pytest.approx(1.0, abs=1e-3)


@given(
    st.sets(st.sampled_from(sorted(BUDGET))), st.sampled_from([name for name in BUDGET if BUDGET[name].pool == REST])
)
def test_whatever_is_configured_shares_all_of_the_promise_and_has_at_least_its_line(names: set[str], rest: str) -> None:
    configured = frozenset(names | {rest})
    found = shares(configured)
    assert found.keys() == configured
    assert sum(found.values()) == 1
    assert all(share >= BUDGET[name].share for name, share in found.items())
    fewer = [name for name in names if len(configured) > 1 and name != rest]
    for name in fewer:
        left = shares(configured - {name})
        assert all(left[other] >= found[other] for other in left), "what is given back takes from nothing"


def test_the_tests_that_run_spend_the_promise_exactly() -> None:
    settings = DriftSettings(false_alarms_per_1000_groups_per_week=3.0)
    spent = sum(1000 * BUDGET[metric].tests / settings.threshold_of(metric) for metric in ALWAYS)
    assert spent == pytest.approx(3.0)
    assert settings.threshold_of("score", 1 / 6) == pytest.approx(6 * settings.threshold_of("score"))


def test_what_is_not_built_gives_its_share_back() -> None:
    """A twelfth more to each of six, as long as sources and contracts have no tests."""
    thresholds = {name: round(DriftSettings().threshold_of(name)) for name in sorted(ALWAYS)}
    four = dict.fromkeys(("cost_usd", "latency_ms", "score", "tokens"), 48_000)
    outcomes = {"success_rate": 4444, "known_moment": 40_000}
    assert thresholds == outcomes | {"calls": 24_000, "responses": 12_000} | four


def test_the_document_has_the_same_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| (\S+) \| (\S+) \| (\S+) \|", DOCUMENT.read_text(), re.MULTILINE)
    now = {name: str(shares().get(name, "-")) for name in BUDGET}
    assert rows == [(name, str(line.share), now[name], str(line.tests)) for name, line in BUDGET.items()]
