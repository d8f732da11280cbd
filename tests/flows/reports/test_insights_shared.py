"""What `insights` says where outcomes share conversations."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from flows.reports.insights import insights
from flows.reports.insights_columns import ArmColumns, TaskColumns, nothing_known
from flows.reports.insights_compare import ArmInsight
from flows.reports.insights_reading import Effects, with_effects
from flows.reports.insights_view import render
from flows.reports.insights_whole import compare_tasks
from flows.reports.overview import overview
from simulated import snapshot

ARMS = [("atlas", "v1"), ("brill", "v1")]
BEFORE, NOW = (1_000, 900, 100, 0, 0), (500, 400, 100, 0, 0)


def compared(effects: Effects | None) -> tuple[ArmInsight, list[ArmInsight]]:
    """The task type as a whole, and its arms, which are alike."""
    models, configs = np.array(ARMS, np.object_).T
    counts = np.array([BEFORE] * 2).T, np.array([NOW] * 2).T
    arms = ArmColumns(**nothing_known(models, counts) | {"configs": configs})
    found = with_effects(
        TaskColumns(["chat"], np.array([0, 2]), arms, np.ones(1)), {} if effects is None else {"chat": effects}
    )
    overall, parts = compare_tasks(found)["chat"]
    return overall, list(parts)


def intervals(arm: ArmInsight) -> list[tuple[float, float]]:
    now, silent = arm.current, arm.silence
    assert silent is not None
    ends = [(now.low, now.high), (now.wilson_low, now.wilson_high), (arm.delta_low, arm.delta_high)]
    return [(low, high) for low, high in [*ends, (silent.low, silent.high)] if low is not None and high is not None]


def test_a_model_is_not_called_worse_for_a_few_conversations() -> None:
    (_, alone), (_, shared) = compared(None), compared(Effects({("atlas", "v1"): 20.0}, whole=1.0))
    assert [arm.state for arm in alone] == ["worse", "worse"]
    assert [arm.state for arm in shared] == ["not_enough_evidence", "worse"]
    atlas, before = shared[0], alone[0]
    assert (atlas.delta, atlas.current.rate, atlas.current.resolved) == (before.delta, before.current.rate, 500)
    for narrow, wide in zip(intervals(before), intervals(atlas), strict=True):
        assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert shared[1] == alone[1]


def test_effects_of_one_change_nothing() -> None:
    ones = Effects(dict.fromkeys(ARMS, 1.0), whole=1.0)
    assert compared(ones) == compared(None)


def test_of_all_models_together_conversations_that_go_on_across_models_count() -> None:
    alone, own, across = (
        compared(effects)[0]
        for effects in (None, Effects(dict.fromkeys(ARMS, 3.0), 1.0), Effects(dict.fromkeys(ARMS, 3.0), 12.0))
    )
    assert (own.design_effect, across.design_effect) == (3.0, 12.0)
    lows = [intervals(one)[0][0] for one in (across, own, alone)]
    assert lows == sorted(set(lows))


def test_an_arm_of_which_nothing_is_known_has_that_of_its_task_type() -> None:
    _, arms = compared(Effects({("atlas", "v1"): 2.0}, whole=6.0))
    assert [arm.design_effect for arm in arms] == [2.0, 6.0]


@pytest.mark.parametrize("known", [True, False])
def test_it_is_read_from_the_snapshot_and_said(out: Path, known: bool) -> None:  # noqa: FBT001
    """`known`: the snapshot has the columns, which those of earlier versions have not."""
    path = out / "outcomes.duckdb"
    with duckdb.connect(str(path)) as base:
        if known:
            base.execute("UPDATE current_rates SET design_effect = 5, task_design_effect = 10")
        else:
            base.execute("ALTER TABLE current_rates DROP COLUMN design_effect")
    found = insights(path, "triage")
    assert {arm.design_effect for arm in found.arms} == ({5.0} if known else {1.0})
    assert found.overall.design_effect == (10.0 if known else 1.0)
    (whole,) = [task.overall for task in overview(path).tasks if task.task_type == "triage"]
    assert whole == found.overall
    said = snapshot.shown(lambda console: render(found, console))
    assert ("100 tell as much as 10 independent ones" in said) == known
