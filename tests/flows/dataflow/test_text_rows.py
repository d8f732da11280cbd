"""What a batch gives the store of texts: those of first records, of what completes them, and failures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from connectors.decode.decoder import CALL, OUTCOME, Decoder
from connectors.decode.text_keeper import TextKeeper
from connectors.texts.call_text import CallText
from flows.dataflow.shards import split
from flows.dataflow.text_rows import failed_calls, texts_of
from models.join import BITS, Join, Joined, JoinRules

AT = 1_767_225_600_000_000
CALL_ID = "c"
START: dict[str, Any] = {"task_type": "t", "model": "m"}
LATER = {**START, "occurred_at": "2026-01-01T00:00:02Z"}
RESULT = [{"name": "search", "output": "found"}]
WRONG = {"outcome_id": "o", "source": "judge", "success": False, "occurred_at": "2026-01-01T00:01:00Z"}
RIGHT = {**WRONG, "success": True}


def joined(*batches: list[dict[str, Any]], share: float = 1.0) -> list[Joined]:
    """What each batch of records of one call gives."""
    join = Join(JoinRules())
    return [join.process(_arrivals(batch, share)) for batch in batches]


def _arrivals(lines: list[dict[str, Any]], share: float) -> Any:
    raws = [json.dumps({"call_id": CALL_ID, "occurred_at": "2026-01-01T00:00:00Z", **line}).encode() for line in lines]
    kinds = np.array([OUTCOME if "outcome_id" in line else CALL for line in lines], np.uint8)
    decoder = Decoder(now_us=2**62, max_future_skew_us=0, texts=TextKeeper(share, 1000))
    batch = decoder.decode(raws, kinds, np.zeros(len(lines), np.int32), np.arange(len(lines)), ["p"])
    (mine,) = [arrivals for _, arrivals in split(batch) if len(arrivals.calls.key) + len(arrivals.outcomes.key)]
    return mine


def text(given: str | None, answer: str | None, tools: str | None, *, completes: bool = False) -> CallText:
    return CallText(CALL_ID, AT, given, answer, tools, completes)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("error", [None, "late"])  # with an error the record takes the other path through the join
def test_a_later_record_gives_only_the_texts_that_the_call_has_not(*, together: bool, error: str | None) -> None:
    first = {**START, "input": "question"}
    end = {**LATER, "input": "another question", "output": "answer", "tool_calls": RESULT, "error": error}
    again = {**LATER, "input": "a third", "output": "another answer", "tool_calls": [], "cost_usd": 1.0}
    batches = [[first, end, again]] if together else [[first], [end], [again]]
    found = [one for part in joined(*batches) for one in texts_of(part)]
    tools = '[{"name":"search","output":"found"}]'
    assert found == [text("question", None, None), text(None, "answer", tools, completes=True)]


def test_a_later_record_gives_texts_where_the_first_one_had_none() -> None:
    parts = joined([START], [{**LATER, "output": "answer", "tool_calls": [{"name": "search"}]}], [LATER])
    assert [texts_of(part) for part in parts] == [[], [text(None, "answer", '[{"name":"search"}]', completes=True)], []]


def test_tool_calls_without_texts_and_texts_that_are_not_sampled_give_nothing() -> None:
    end = {**LATER, "tool_calls": [{"name": "search", "ok": True}]}
    assert [texts_of(part) for part in joined([{**START, "input": "i"}], [end])] == [[text("i", None, None)], []]
    dropped = joined([{**START, "input": "i"}], [{**LATER, "output": "o", "tool_calls": RESULT}], share=0.0)
    assert [texts_of(part) for part in dropped] == [[], []]
    filled = dropped[1].completed.new.item(0)
    assert filled & BITS["output"]
    assert filled & BITS["tool_calls"]


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([[START], [LATER | {"error": "late"}]], [False, True]),
        ([[START, LATER | {"error": "late"}]], [True]),
        ([[START | {"error": "early"}], [LATER | {"output": "o"}]], [True, False]),
        ([[START], [WRONG], [LATER | {"output": "o"}]], [False, True, False]),
        ([[START, WRONG]], [True]),
        ([[START, RIGHT], [LATER | {"error": "late"}]], [False, False]),  # what is said of it ranks above its error
        ([[START | {"attempts": [{"model": "x", "error": "429"}]}], [WRONG]], [False, True]),
        ([[START | {"attempts": [{"model": "x", "error": "429"}], "error": "down"}]], [True]),
        ([[START], [LATER | {"attempts": [{"model": "x", "error": "429"}]}], [RIGHT]], [False, False, False]),
    ],
)
def test_a_call_has_failed_once_its_own_verdict_is_failure(
    batches: list[list[dict[str, Any]]], expected: list[bool]
) -> None:
    found = [failed_calls(part) for part in joined(*batches)]
    assert found == [[(CALL_ID, AT)] if failed else [] for failed in expected]
