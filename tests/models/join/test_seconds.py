"""Calls that are reported twice go through the join as columns: results equal the slow path (see `tests/oracle`)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from connectors.decode.decoder import CALL, OUTCOME, Decoder
from flows.dataflow.shards import split
from models.join import Join, JoinRules
from models.join.dispatch import Dispatch, dispatch
from models.join.identity import identify

RULES = JoinRules()


def paths(*lines: dict[str, Any], before: tuple[dict[str, Any], ...] = ()) -> Dispatch:
    """Where the records of a batch go in one shard, all of whose calls have the same id, after a batch `before`."""
    join = Join(RULES)
    if before:
        join.process(_arrivals(*before))
    arrivals = _arrivals(*lines)
    calls = arrivals.calls._replace(group=join.shard.local_groups(arrivals.groups, arrivals.calls.group))
    outcomes = arrivals.outcomes._replace(source=join.shard.local_sources(arrivals.sources, arrivals.outcomes.source))
    return dispatch(join.shard, calls, outcomes, identify(join.shard, join.early, calls, outcomes))


def _arrivals(*lines: dict[str, Any]) -> Any:
    raws = [json.dumps({"call_id": "c", "occurred_at": "2026-01-01T00:00:00Z", **line}).encode() for line in lines]
    kinds = np.array([OUTCOME if "outcome_id" in line else CALL for line in lines], np.uint8)
    places = np.arange(len(lines))
    batch = Decoder(now_us=2**62, max_future_skew_us=0).decode(
        raws, kinds, np.zeros(len(lines), np.int32), places, ["p"]
    )
    (mine,) = [arrivals for _, arrivals in split(batch) if len(arrivals.calls.key) + len(arrivals.outcomes.key)]
    return mine


START: dict[str, Any] = {"task_type": "t", "model": "m"}
END = {**START, "occurred_at": "2026-01-01T00:00:02Z", "cost_usd": 0.5, "session_id": "s", "attrs": {"a": 1}}
VOTE = {"outcome_id": "o", "source": "judge", "score": 0.9, "occurred_at": "2026-01-01T00:01:00Z"}


def test_start_end_and_vote_in_one_batch_are_columns() -> None:
    for lines in ((START, END), (START, END, VOTE), (START, VOTE, END), (START, END, END, VOTE)):
        found = paths(*lines)
        assert found.fast_calls.tolist() == [True] + [False] * (len(found.fast_calls) - 1)
        assert found.seconds.chosen.tolist() == list(range(1, len(found.fast_calls)))
        assert found.seconds.owner.tolist() == [0] * (len(found.fast_calls) - 1)
        assert found.fast_outcomes.all()
        assert found.seconds.new.tolist()[1:] == [0] * (len(found.fast_calls) - 2)


def test_the_end_of_a_held_call_is_a_column_whatever_its_ledger_has() -> None:
    wrong = {**VOTE, "outcome_id": "p", "source": "human_review", "success": False}
    for before in ((START,), (START, VOTE), (START, VOTE, wrong)):
        found = paths(END, before=before)
        assert (found.seconds.chosen.tolist(), found.seconds.owner.tolist()) == ([0], [-1])


@pytest.mark.parametrize(
    "other",
    [
        {"error": "timeout"},
        {"model": "n"},
        {"segment": "long"},
        {"occurred_at": "2026-01-02T00:00:01Z"},
    ],
)
def test_what_touches_a_ledger_or_is_refused_goes_record_by_record_with_all_of_its_call(other: dict[str, Any]) -> None:
    for lines, before in (((START, END, {**END, **other}), ()), ((END, {**END, **other}), (START,))):
        found = paths(*lines, before=before)
        assert not len(found.seconds.chosen)
        assert not found.fast_calls.any()


def test_a_storm_of_repeats_of_one_call_goes_record_by_record() -> None:
    assert len(paths(*[START] * 8).seconds.chosen) == 7
    assert not len(paths(*[START] * 9).seconds.chosen)


def test_a_repeat_after_the_call_has_closed_is_not_its_second_record() -> None:
    join = Join(replace(RULES, horizon_us=1, allowed_lateness_us=0))
    join.process(_arrivals(START))
    arrivals = _arrivals({**END, "occurred_at": "2026-01-01T01:00:00Z"})
    calls = arrivals.calls._replace(group=join.shard.local_groups(arrivals.groups, arrivals.calls.group))
    calls = calls._replace(wm=calls.at.copy())
    found = dispatch(join.shard, calls, arrivals.outcomes, identify(join.shard, join.early, calls, arrivals.outcomes))
    assert not len(found.seconds.chosen)
