"""What calls did with their tools has one number where it is alike, and another where rules could tell it apart."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from connectors.batch import Batch
from connectors.decode.decoder import CALL, Decoder
from connectors.decode.tool_codes import MOST_CODES, MOST_IN_PATH

LOOK = {"name": "look", "ok": True}


def decode(decoder: Decoder, calls: list[Any]) -> Batch:
    lines = [
        json.dumps({"call_id": str(i), "task_type": "t", "model": "m", "occurred_at": "2026-03-01T12:00:00Z"} | more)
        for i, more in enumerate({} if tools is None else {"tool_calls": tools} for tools in calls)
    ]
    places = np.arange(len(lines))
    kinds = np.full(len(lines), CALL, np.uint8)
    return decoder.decode([line.encode() for line in lines], kinds, places.astype(np.int32), places, ["p"] * len(lines))


def numbering() -> Decoder:
    return Decoder(now_us=2**62, max_future_skew_us=0, number_tools=True)


def paths(calls: list[Any]) -> list[int]:
    found = decode(numbering(), calls).tool_paths
    assert found is not None
    return list(found.tolist())


def test_calls_that_differ_in_nothing_that_is_read_have_one_number() -> None:
    first, second, third = paths([[LOOK], [{**LOOK, "latency_ms": 5, "input": "x"}], [LOOK, LOOK]])
    assert first == second != third
    assert 0 not in {first, third}


@pytest.mark.parametrize(
    "more", [{"name": "read"}, {"ok": False}, {"ok": None}, {"error": "429"}, {"attempts": 2}, {"stale": True}]
)
def test_each_field_that_is_read_tells_calls_apart(more: dict[str, Any]) -> None:
    assert len(set(paths([[LOOK, LOOK], [LOOK, LOOK | more], [LOOK | more, LOOK]]))) == 3


def test_calls_without_tools_or_with_many_have_none() -> None:
    longest = [LOOK] * MOST_IN_PATH
    assert paths([None, 3, [], [*longest, LOOK]]) == [0] * 4
    assert paths([None, longest])[1] > 0


def test_codes_that_do_not_fit_have_no_number_and_are_forgotten_before_the_next_batch() -> None:
    decoder = numbering()
    batch = decode(decoder, [[{"name": f"tool-{i}"}] for i in range(MOST_CODES + 2)])
    assert batch.tool_paths is not None
    assert len(set(batch.tool_paths.tolist())) == MOST_CODES + 1
    assert batch.tool_paths[-2:].tolist() == [0, 0]
    again = decode(decoder, [[LOOK]])
    assert again.tool_token != batch.tool_token
    assert decode(decoder, [[LOOK]]).tool_token == again.tool_token


def test_without_rules_on_tools_nothing_is_numbered() -> None:
    assert decode(Decoder(now_us=2**62, max_future_skew_us=0), [[LOOK]]).tool_paths is None
