"""No prompt, reply or key leaves a process that was not asked to send texts (I6)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from aftercall import Client
from aftercall.testing import MemoryTransport
from harness.providers import CHAT, CONTENT, MESSAGE, RESPONSE, chat_stream
from harness.waiting import HANG_S

PROMPT = "Where is parcel 4711 of Mrs Miller?"
REPLY = "It waits at the depot in Basel."
KEYS = (
    "sk-proj-Abcdefghijklmnop1234",
    "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "AIzaSyA1234567890abcdefg",
    "ghp_abcdefghijklmnop",
    "hunter2hunter2",
)


def everything(client: Client) -> None:
    """Calls in every way, with texts in every place in which the SDK gets to see some."""

    @client.track("support", model="large")
    def answer(question: str, **named: Any) -> Any:
        return {"choices": [{"message": {"content": REPLY}}], "usage": {"prompt_tokens": 1}, "model": "m"}

    answer(PROMPT, messages=[{"role": "user", "content": PROMPT}])

    @client.track("support", model="large")
    def words(question: str) -> Iterator[str]:
        yield REPLY

    list(words(PROMPT))
    with client.track("support", model="large") as call:
        call.set(input=PROMPT, output=REPLY)
        call.observe(REPLY)
        with call.tool("search", input=PROMPT, output=REPLY):
            pass


def test_texts_stay_where_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "aftercall"):
        client = Client(file=tmp_path / "events", spool=tmp_path / "spool")
        everything(client)
        client.flush(HANG_S)
        client.close()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    seen = written.decode("utf-8", "replace") + caplog.text + "".join(map(str, tmp_path.rglob("*")))
    assert '"task_type":"support"' in seen
    assert "Miller" not in seen
    assert "Basel" not in seen


def test_texts_are_sent_where_that_is_asked_for(memory: MemoryTransport) -> None:
    client = Client(transport=memory, capture="text")
    everything(client)
    answered, streamed, block = memory.calls
    assert json.loads(answered["input"]) == [PROMPT, {"messages": [{"role": "user", "content": PROMPT}]}]
    assert answered["output"] == REPLY
    assert (streamed["input"], streamed["output"]) == (PROMPT, REPLY)
    assert (block["input"], block["output"]) == (PROMPT, REPLY)
    assert (block["tool_calls"][0]["input"], block["tool_calls"][0]["output"]) == (PROMPT, REPLY)


@pytest.mark.parametrize("body", [CHAT, RESPONSE, MESSAGE, CONTENT], ids=["chat", "responses", "messages", "contents"])
def test_the_reply_is_found_in_responses_of_each_provider(memory: MemoryTransport, body: dict[str, Any]) -> None:
    Client(transport=memory, capture="text").track("support", model="m")(lambda: body)()
    assert "hello" in memory.calls[0]["output"]


def test_the_reply_is_put_together_from_a_stream(memory: MemoryTransport) -> None:
    client = Client(transport=memory, capture="text")
    list(client.track("support", model="m")(lambda: (data for _, data in chat_stream() if data != "[DONE]"))())
    assert memory.calls[0]["output"] == "hello"


@pytest.mark.parametrize("key", KEYS)
def test_keys_in_errors_are_taken_out(client: Client, memory: MemoryTransport, key: str) -> None:
    def answer() -> None:
        raise PermissionError(f"refused: password={key}, https://me:{key.rsplit(maxsplit=1)[-1]}@host, {key}"[:3000])

    with pytest.raises(PermissionError):
        client.track("support", model="large")(answer)()
    with client.track("support", model="large") as call, pytest.raises(PermissionError), call.tool("search"):
        answer()
    with client.track("support", model="large") as call:
        with pytest.raises(PermissionError), call.attempt(model="x"):
            answer()
        call.set(error=f"api_key: {key}")
    seen = json.dumps(memory.calls)
    assert seen.count("[redacted]") >= 3
    if key != "hunter2hunter2":  # a word like others, but for what is before it
        assert key.rsplit(maxsplit=1)[-1] not in seen


@pytest.mark.parametrize("hashed", [True, False])
def test_an_error_does_not_quote_what_the_call_was_given(memory: MemoryTransport, hashed: bool) -> None:  # noqa: FBT001
    client = Client(transport=memory, input_hash=hashed)

    class Order(BaseModel):
        number: int

    @client.track("support", model="large")
    def answer(messages: list[dict[str, str]]) -> None:
        try:
            Order(number=messages[0]["content"])  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"cannot read {messages[0]['content']!r}: {error}") from None

    with pytest.raises(ValueError, match="Miller"):
        answer([{"role": "user", "content": PROMPT}])
    assert "Miller" not in memory.calls[0]["error"]
    assert "cannot read '[redacted]'" in memory.calls[0]["error"]


def test_equal_inputs_have_equal_hashes_that_nobody_can_try(
    memory: MemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(transport=memory)

    class Agent:
        @client.track("support", model="m")
        def answer(self, question: Any, **named: Any) -> None: ...

    chat = [{"role": "user", "content": PROMPT}]
    Agent().answer(PROMPT)
    Agent().answer(PROMPT)
    Agent().answer(PROMPT + "!")
    Agent().answer(chat)
    Agent().answer(object())
    Agent().answer("x" * 100_000)
    hashes = [call.get("attrs", {}).get("input_hash") for call in memory.calls]
    assert hashes[0] == hashes[1]
    assert len({*hashes[:4]}) == 3
    assert hashes[4:] == [None, None]
    assert all(len(found or "") == 16 for found in hashes[:4])
    chat.append({"role": "assistant", "content": REPLY})  # later changes do not count
    Client(transport=memory, input_hash=False).track("support", model="m")(lambda question: None)(PROMPT)
    assert "attrs" not in memory.calls[-1]


def test_an_input_that_is_changed_right_after_the_call_is_hashed_as_it_was() -> None:
    memory = MemoryTransport(at_once=False)
    client = Client(transport=memory, spool=None)
    answer = client.track("support", model="m")(lambda messages: None)
    for _ in range(3):
        messages = [{"content": PROMPT}]
        answer(messages)
        messages[0]["content"] = REPLY
        messages.append({"content": REPLY})
    answer([{"content": PROMPT}])
    client.flush(HANG_S)
    client.close()
    assert len(memory.calls) == 4
    assert len({call["attrs"]["input_hash"] for call in memory.calls}) == 1
