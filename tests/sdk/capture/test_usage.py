"""Model, tokens and cost are read from responses by their shape, in whatever class a library has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr

from aftercall import Client
from aftercall.capture.draft import Draft
from aftercall.capture.settings import Capturing
from aftercall.capture.usage import used
from aftercall.testing import MemoryTransport
from harness.providers import (
    CHAT,
    CONTENT,
    MESSAGE,
    RESPONSE,
    chat_stream,
    content_stream,
    message_stream,
    response_stream,
)

GOOGLE_NAMES: dict[str, str] = {
    "modelVersion": "model_version",
    "responseId": "response_id",
    "usageMetadata": "usage_metadata",
    "promptTokenCount": "prompt_token_count",
    "candidatesTokenCount": "candidates_token_count",
    "thoughtsTokenCount": "thoughts_token_count",
    "totalTokenCount": "total_token_count",
}


class Model(BaseModel):
    """As the libraries of providers make theirs: pydantic, fields it does not know included."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


def as_dict(body: Any) -> Any:
    return body


def as_model(body: Any) -> Any:
    if isinstance(body, list):
        return [as_model(item) for item in body]
    if not isinstance(body, dict):
        return body
    return Model(**{GOOGLE_NAMES.get(str(name), str(name)): as_model(item) for name, item in body.items()})


def as_object(body: Any) -> Any:
    if isinstance(body, list):
        return [as_object(item) for item in body]
    if not isinstance(body, dict):
        return body
    return SimpleNamespace(**{GOOGLE_NAMES.get(str(name), str(name)): as_object(item) for name, item in body.items()})


class Lazy:
    """A response that computes what it is asked for, as a property does."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.__body = body

    def __getattr__(self, name: str) -> Any:
        try:
            return as_object(self.__body)[name] if name.startswith("__") else getattr(as_object(self.__body), name)
        except (KeyError, TypeError):
            raise AttributeError(name) from None


READ = {
    "chat": (CHAT, 5, 2, "gpt-4o-2024-08-06"),
    "responses": (RESPONSE, 6, 3, "gpt-5-2026"),
    "anthropic": (MESSAGE, 105, 4, "claude-x-2026"),
    "google": (CONTENT, 11, 23, "gemini-x-001"),
}


@pytest.mark.parametrize("form", [as_dict, as_model, as_object, Lazy])
@pytest.mark.parametrize("name", READ)
def test_a_response_says_what_it_used(
    client: Client, memory: MemoryTransport, name: str, form: Callable[[Any], Any]
) -> None:
    body, tokens_in, tokens_out, model = READ[name]
    response = form(body)
    assert client.track("support", model="declared")(lambda: response)() is response
    (call,) = memory.calls
    assert (call["tokens_in"], call["tokens_out"]) == (tokens_in, tokens_out)
    assert (call["model"], call["attrs"]["response_model"]) == ("declared", model)


STREAMS = {
    "chat": (chat_stream, 5, 3, "gpt-4o-2024-08-06"),
    "responses": (response_stream, 6, 3, "gpt-5-2026"),
    "anthropic": (message_stream, 105, 42, "claude-x-2026"),
    "google": (content_stream, 11, 23, "gemini-x-001"),
}


@pytest.mark.parametrize("form", [as_dict, as_model, as_object])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says_what_it_used(
    client: Client, memory: MemoryTransport, name: str, form: Callable[[Any], Any]
) -> None:
    events, tokens_in, tokens_out, model = STREAMS[name]
    chunks = [form(data) for _, data in events() if data != "[DONE]"]

    @client.track("support", model="declared")
    def answer() -> Iterator[Any]:
        yield from chunks

    assert list(answer()) == chunks
    (call,) = memory.calls
    assert (call["tokens_in"], call["tokens_out"]) == (tokens_in, tokens_out)
    assert call["attrs"]["response_model"] == model


class LiteLlm(Model):
    """As LiteLLM 1.110 has it (seen by running it): OpenAI's shape, with the price in a private attribute."""

    _hidden_params: dict[str, Any] = PrivateAttr(default_factory=dict)


def test_litellm_says_what_a_call_cost(client: Client, memory: MemoryTransport) -> None:
    response = LiteLlm(id="x", model="gpt-4o", usage=as_model(CHAT["usage"]))
    response._hidden_params = {"response_cost": 0.0042, "cache_hit": True, "api_base": "https://secret"}
    with client.track("support", model="large") as call:
        call.observe(response)
    (event,) = memory.calls
    assert (event["cost_usd"], event["tokens_in"]) == (0.0042, 5)
    assert event["attrs"] == {"response_model": "gpt-4o", "cache_hit": True}


@pytest.mark.parametrize(
    "response",
    [
        MagicMock(),
        SimpleNamespace(usage=MagicMock(), model=MagicMock(), _hidden_params={"response_cost": MagicMock()}),
        {"usage": {"prompt_tokens": True, "completion_tokens": "7"}},
        {"usage": {"prompt_tokens": float("nan"), "completion_tokens": -1}},
        {"usage": None},
        {"usage": "much"},
    ],
    ids=lambda response: type(response).__name__,
)
def test_only_numbers_and_text_are_believed(client: Client, memory: MemoryTransport, response: Any) -> None:
    with client.track("support", model="large") as call:
        call.observe(response)
    assert not {"tokens_in", "tokens_out", "tokens", "cost_usd", "attrs"} & memory.calls[0].keys()


def test_a_model_of_the_users_own_is_not_the_providers(client: Client, memory: MemoryTransport) -> None:
    """What an agent answers may have a field `model`, which is then content."""
    client.track("support", model="large")(lambda: {"model": "Golf VII", "answer": "a car"})()
    client.track("support", model="large")(lambda: SimpleNamespace(model="Golf VII", id="car 54"))()
    assert "Golf" not in str(memory.calls)


def test_only_a_total_is_known(client: Client, memory: MemoryTransport) -> None:
    client.track("support", model="large")(lambda: {"usage": {"total_tokens": 12}})()
    assert memory.calls[0]["tokens"] == 12


def test_what_the_caller_says_wins(client: Client, memory: MemoryTransport) -> None:
    with client.track("support", model="large") as call:
        call.observe(CHAT)
        call.set(tokens_in=100, cost_usd=0.5)
    assert (memory.calls[0]["tokens_in"], memory.calls[0]["tokens_out"], memory.calls[0]["cost_usd"]) == (100, 2, 0.5)


def test_the_users_price_list_is_asked_where_no_cost_is_known(memory: MemoryTransport) -> None:
    asked = []

    def price(call: Any) -> float | None:
        asked.append(call["model"])
        return call["tokens_in"] * 1e-3 if "tokens_in" in call else None

    client = Client(transport=memory, cost=price)
    client.track("support", model="large")(lambda: CHAT)()
    client.track("support", model="small")(lambda: None)()
    with client.track("support", model="own") as call:
        call.set(cost_usd=1)
    assert [event.get("cost_usd") for event in memory.calls] == [0.005, None, 1]
    assert asked == ["large", "small"]


def test_a_price_list_that_fails_costs_no_call(memory: MemoryTransport) -> None:
    def raises(call: Any) -> float:
        raise KeyError(call["model"])

    for price in (raises, lambda call: float("nan"), lambda call: -1.0, MagicMock(return_value=MagicMock())):
        Client(transport=memory, cost=price).track("support", model="large")(lambda: CHAT)()
    assert [call.get("cost_usd") for call in memory.calls] == [None] * 4


def test_a_large_response_is_not_held_until_it_is_read() -> None:
    """Parts alone are: 10,000 responses of 200 kB would be 2 GB."""

    class Held(Model):
        """One that can be watched."""

        def __del__(self) -> None:
            gone.append(1)

    gone: list[int] = []
    draft = Draft(Capturing(None), {}, "here")
    response = Held(usage=as_model(CHAT["usage"]), choices=["x" * 200_000])
    draft.observe(response)
    del response
    assert len(gone) == 1
    assert draft.responses is not None
    assert used(draft.responses)["tokens_in"] == 5
