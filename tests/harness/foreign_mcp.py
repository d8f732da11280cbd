"""The Model Context Protocol's own library, in an environment of its own, and the scripts that run in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.foreign import python_with

PACKAGES: Final = ("mcp==2.3.0",)
SERVER: Final = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("shop")


@server.tool()
def search(text: str) -> list[str]:
    return [text, "b", "c", "d"]


@server.tool()
def order(number: int) -> dict[str, object]:
    return {"id": number, "paid": True, "at": "2026-11-30"}


@server.resource("shop://terms")
def terms() -> str:
    return "30 days"


server.run()
"""
AGENT: Final = """
import asyncio
import json
import sys

from mcp import ClientSession, MCPError, StdioServerParameters, stdio_client


async def asked(session, tool, arguments, number):
    try:
        got = await session.call_tool(tool, arguments, meta={"aftercall-case": f"c{number}"})
    except MCPError as failed:
        return {"error": str(failed)}
    return json.loads(got.model_dump_json(by_alias=True, exclude_none=True))


async def main():
    command, *given = json.loads(sys.argv[1])
    found = {}
    async with stdio_client(StdioServerParameters(command=command, args=given)) as (read, write):
        async with ClientSession(read, write) as session:
            await session.initialize()
            found["tools"] = [tool.name for tool in (await session.list_tools()).tools]
            found["terms"] = (await session.read_resource("shop://terms")).contents[0].text
            found["search"] = [await asked(session, "search", {"text": "a"}, at) for at in range(int(sys.argv[2]))]
            found["order"] = await asked(session, "order", {"number": 7}, 0)
    print(json.dumps(found))


asyncio.run(main())
"""


def mcp_python(folder: Path) -> Path:
    """The interpreter of this environment; see `python_with`."""
    return python_with(folder, "mcp", PACKAGES)
