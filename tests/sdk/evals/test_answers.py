"""What is an answer, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from aftercall.evals import Answer, EvalCase
from aftercall.evals.answer import MAX_ANSWER, AnswerError, answer_of, decoded


def test_text_json_and_objects_with_an_output_are_answers() -> None:
    assert answer_of("a", 1.0) == Answer("a", latency_ms=1.0)
    assert answer_of({"days": 30}, 1.0).output == {"days": 30}
    assert answer_of(Answer("a"), 1.0) == Answer("a", latency_ms=1.0)
    assert answer_of(False, 1.0).text == "false"
    tools = [{"name": "search", "ok": False}]
    given = {
        "output": "a",
        "tool_calls": tools,
        "attrs": {"end_state": "done"},
        "cost": 1,
        "model": "m",
        "latency_ms": 5,
    }
    assert answer_of(given, 9.0) == Answer("a", tuple(tools), {"end_state": "done"}, 1.0, 5.0, {"model": "m"})


def test_an_agent_that_reports_no_tool_calls_is_not_known_to_have_called_none() -> None:
    case = EvalCase(input="q", id="c")
    assert "tool_calls" not in answer_of({"output": "a"}, 1.0).record(case, 0)
    assert answer_of({"output": "a", "tool_calls": []}, 1.0).record(case, 0)["tool_calls"] == []


def nested() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "the agent returned nothing"),
        ("", "the agent returned nothing"),
        ({"output": None}, "the agent returned nothing"),
        (object(), "the agent returned a object, which is neither text nor JSON"),
        (b"secret", "the agent returned a bytes, which is neither text nor JSON"),
        ("\ud800", "the answer is no Unicode text: it holds halves of characters"),
        ({"output": "a", "tool_calls": 3}, "the answer's tool_calls are no list"),
        ({"output": "a", "attrs": []}, "the answer's attrs are no object"),
        (nested(), "the answer is no JSON: it holds itself, or is nested too deep"),
        ("x" * (MAX_ANSWER + 1), "the answer has more than 1,048,576 bytes"),
        ("ä" * (MAX_ANSWER // 2 + 1), "the answer has more than 1,048,576 bytes"),
    ],
)
def test_what_is_no_answer_is_an_error_without_its_text(returned: Any, words: str) -> None:
    with pytest.raises(AnswerError) as refused:
        answer_of(returned, 1.0)
    assert str(refused.value) == words


def test_an_answer_of_1_mib_is_one() -> None:
    assert len(answer_of("x" * MAX_ANSWER, 1.0).text) == MAX_ANSWER


def test_bytes_that_are_no_utf_8_are_named_by_their_place() -> None:
    with pytest.raises(AnswerError, match=r"^the answer is no UTF-8: byte 2 does not belong there$"):
        decoded(b"ab\xff")
