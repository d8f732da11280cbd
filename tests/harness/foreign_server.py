"""Runs in the foreign environment: a Starlette application that streams, a client that reads and one that hangs up.

Prints the calls that the SDK has emitted, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from aftercall import Client
from aftercall.testing import MemoryTransport

memory = MemoryTransport(at_once=False)
client = Client(transport=memory, spool=None)


@client.track("child", model="small")
async def child() -> None:
    await asyncio.sleep(0.01)


async def words(count: int) -> AsyncIterator[str]:
    for _ in range(count):
        await child()
        yield "word " * 2000


def sync_words() -> Iterator[str]:
    for _ in range(3):
        with client.track("sync child", model="small"):
            time.sleep(0.01)
        yield "word "


@client.track("async", model="large")
async def answer(request: Request) -> StreamingResponse:
    return StreamingResponse(words(3))


@client.track("sync", model="large")
def sync_answer(request: Request) -> StreamingResponse:
    return StreamingResponse(sync_words())


@client.track("endless", model="large")
async def endless(request: Request) -> StreamingResponse:
    return StreamingResponse(words(1_000_000))


application = Starlette(routes=[Route("/async", answer), Route("/sync", sync_answer), Route("/endless", endless)])
server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error"))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.01)
port = server.servers[0].sockets[0].getsockname()[1]
for path in ("async", "sync"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as response:
        response.read()
with socket.create_connection(("127.0.0.1", port)) as caller:
    caller.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
    caller.recv(1000)
deadline = time.monotonic() + 600
while not any(call["task_type"] == "endless" for call in memory.calls) and time.monotonic() < deadline:
    time.sleep(0.05)
    client.flush(60)
server.should_exit = True
thread.join()
client.close()
sys.stdout.write(json.dumps(memory.calls))
