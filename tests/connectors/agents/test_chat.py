"""An agent that speaks as OpenAI's chat completions do, with the `openai` client as published."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from aftercall.errors import UsageError
from connectors.agents.chat_agent import ChatAgent
from harness.foreign import ROOT, TESTS, foreign_python, run_foreign

URL = "http://127.0.0.1:1/v1/chat/completions"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    python = foreign_python(tmp_path_factory.getbasetemp().parent)
    found: dict[str, Any] = json.loads(run_foreign(python, TESTS / "harness" / "foreign_chat.py", path=(ROOT,)))
    return found


@pytest.mark.slow
def test_text_tool_calls_tokens_and_the_model_are_read(seen: dict[str, Any]) -> None:
    fields = {"model": "m-1", "tokens_in": 5, "tokens_out": 2}
    tools = [{"name": "search", "input": "{}"}]
    assert seen["found"]["text"] == {"output": "30 days", "tools": [], "fields": fields}
    assert seen["found"]["tools"] == {"output": tools, "tools": tools, "fields": fields}
    assert seen["name"] == "/chat/completions#small"


@pytest.mark.slow
def test_a_question_is_sent_once_with_the_key_the_model_and_the_system_message(seen: dict[str, Any]) -> None:
    first = seen["got"][0]
    assert (first["path"], first["key"], first["model"]) == ("/v1/chat/completions", "Bearer k", "small")
    assert first["messages"] == [{"role": "system", "content": "Be short."}, {"role": "user", "content": "text"}]
    assert [one["messages"][-1]["content"] for one in seen["got"]].count("refused") == 1
    assert seen["got"][-1]["messages"] == [{"role": "user", "content": "text"}], "messages are sent as they are"


@pytest.mark.slow
def test_what_is_no_answer_is_an_error_without_its_body(seen: dict[str, Any]) -> None:
    errors = {name: one["error"] for name, one in seen["found"].items() if "error" in one}
    assert errors == {
        "nothing": "the agent returned nothing",
        "refused": "the agent answered with status 429",
        "defect": "the agent answered with status 500",
        "never": "took too long",
        "gone": "the agent cannot be reached: APIConnectionError",
    }
    assert seen["found"]["never"]["kind"] == "LateAnswerError"


def test_without_the_client_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UsageError, match="needs the client of OpenAI, which is not installed"):
        ChatAgent(f"{URL}#m")


def test_a_model_must_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "openai.py").write_text("")
    monkeypatch.delitem(sys.modules, "openai", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"needs the name of a model; .* \(write it behind the URL: #MODEL\)"):
        ChatAgent(URL)
    monkeypatch.delitem(sys.modules, "openai")
