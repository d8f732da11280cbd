"""Runs in the foreign environment: asks a provider with the libraries of OpenAI, Anthropic and Google, tracked.

Prints the calls that the SDK has emitted, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import anthropic
import openai
from google import genai

from aftercall import Client
from aftercall.testing import MemoryTransport
from harness.providers import provider

MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]
USAGE: Any = {"include_usage": True}

memory = MemoryTransport()
client = Client(transport=memory)


def tracked(name: str, ask: Callable[[], Any]) -> Any:
    return client.track(name, model="declared")(ask)()


def ask(address: str) -> None:
    chat = openai.OpenAI(api_key="x", base_url=f"{address}/v1")
    claude = anthropic.Anthropic(api_key="x", base_url=address)
    gemini = genai.Client(api_key="x", http_options={"base_url": address})
    whole = tracked("chat", lambda: chat.chat.completions.create(model="m", messages=MESSAGES))
    assert type(whole).__name__ == "ChatCompletion"
    tracked("responses", lambda: chat.responses.create(model="m", input="hi"))
    tracked("messages", lambda: claude.messages.create(model="m", max_tokens=9, messages=MESSAGES))
    tracked("contents", lambda: gemini.models.generate_content(model="m", contents="hi"))
    stream = tracked(
        "chat", lambda: chat.chat.completions.create(model="m", messages=MESSAGES, stream=True, stream_options=USAGE)
    )
    assert isinstance(stream, openai.Stream)
    with stream as chunks:
        assert len(list(chunks)) == 3
    assert len(list(tracked("responses", lambda: chat.responses.create(model="m", input="hi", stream=True)))) == 3
    asked = tracked("messages", lambda: claude.messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=True))
    assert isinstance(asked, anthropic.Stream)
    assert len(list(asked)) == 6
    assert len(list(tracked("contents", lambda: gemini.models.generate_content_stream(model="m", contents="hi")))) == 2


async def ask_async(address: str) -> None:
    chat = openai.AsyncOpenAI(api_key="x", base_url=f"{address}/v1")
    claude = anthropic.AsyncAnthropic(api_key="x", base_url=address)
    gemini = genai.Client(api_key="x", http_options={"base_url": address}).aio
    await tracked("chat", lambda: chat.chat.completions.create(model="m", messages=MESSAGES))
    stream = await tracked(
        "chat", lambda: chat.chat.completions.create(model="m", messages=MESSAGES, stream=True, stream_options=USAGE)
    )
    assert isinstance(stream, openai.AsyncStream)
    async with stream as chunks:
        assert len([chunk async for chunk in chunks]) == 3
    asked = await tracked(
        "messages", lambda: claude.messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=True)
    )
    assert len([event async for event in asked]) == 6
    read = await tracked("contents", lambda: gemini.models.generate_content_stream(model="m", contents="hi"))
    assert len([part async for part in read]) == 2
    left = await tracked("left", lambda: chat.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    async for _ in left:
        break
    await left.close()


with provider() as address:
    ask(address)
    asyncio.run(ask_async(address))
sys.stdout.write(json.dumps(memory.calls))
