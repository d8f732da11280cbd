"""Asks a service that speaks as OpenAI's chat completions do through the `openai` client, and prints what came of it.

Runs in an environment of its own, with the SDK, `connectors` and nothing of the pipeline.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aftercall.evals import EvalCase
from aftercall.evals.answer import AnswerError
from connectors.agents.chat_agent import ChatAgent

TOOL = {"id": "t1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
GOT: list[dict[str, Any]] = []


def completion(content: str | None, tools: list[Any] | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "tool_calls": tools}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice], "usage": usage}


REPLIES: dict[str, tuple[int, Any]] = {
    "text": (200, completion("30 days")),
    "tools": (200, completion(None, [TOOL])),
    "nothing": (200, completion(None)),
    "refused": (429, {"error": {"message": "secret"}}),
    "defect": (500, {"error": {"message": "secret"}}),
}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][-1]["content"]
        GOT.append({"path": self.path, "key": self.headers["Authorization"], **body})
        if asked == "never":
            ENDED.wait(60)
        status, reply = REPLIES.get(asked, REPLIES["text"])
        sent = json.dumps(reply).encode()
        with suppress(BrokenPipeError, ConnectionResetError):  # who asked has gone
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

    def log_message(self, *_: Any) -> None:
        pass


ENDED = threading.Event()


def answers(agent: ChatAgent, question: Any, timeout_s: float = 60.0) -> dict[str, Any]:
    try:
        answer = agent.ask(EvalCase(input=question), timeout_s)
    except AnswerError as wrong:
        return {"error": str(wrong), "kind": type(wrong).__name__}
    return {"output": answer.output, "tools": answer.tool_calls, "fields": answer.fields}


def main() -> None:
    os.environ["OPENAI_API_KEY"] = "k"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1/chat/completions"
    agent = ChatAgent(f"{url}#small", system="Be short.")
    messages = [{"role": "user", "content": "text"}]
    found = {name: answers(agent, name) for name in REPLIES} | {"never": answers(agent, "never", 0.2)}
    found["messages"] = answers(agent, messages)
    ENDED.set()
    agent.close()
    server.shutdown()
    server.server_close()
    found["gone"] = answers(ChatAgent(url, "small"), "text")
    json.dump({"found": found, "got": GOT, "name": agent.name.rpartition("/v1")[2]}, sys.stdout)


if __name__ == "__main__":
    main()
