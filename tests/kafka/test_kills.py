"""Killed with SIGKILL while producers write, the pipeline between Kafka topics ends as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kills import campaign
from system.forks import spawn

pytestmark = [pytest.mark.slow, pytest.mark.kafka]


@pytest.mark.first
@pytest.mark.long
def test_a_pipeline_killed_again_and_again_loses_doubles_and_changes_nothing(
    kafka_is_here: None, tmp_path: Path
) -> None:
    """Its processes together and one by one, at every stage of a run, and with the broker away: `make bench-kills`."""
    found = campaign(tmp_path, kills=4, calls=24_000, round_s=3, seed=1, brief=True, spawn=spawn)
    assert found.wrong == []
    assert [found.figures[name] for name in ("rows_lost", "rows_doubled", "rows_differing")] == [0, 0, 0]
    assert len(found.details["moments"]) == 4, "of four kinds"
