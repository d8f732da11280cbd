"""An agent of each kind has its tools broken, and its answer says so, whether it reports them or not."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from aftercall.evals import tool
from aftercall.evals.answer import Answer, LateAnswerError
from aftercall.evals.asked import ASKED, Asked, headers_of_case
from aftercall.evals.case import EvalCase
from aftercall.evals.faults.injection import Injections
from aftercall.evals.faults.uses import SeenUse, append_use
from connectors.agents.command_agent import CommandAgent
from connectors.agents.faulty_agent import FaultyAgent
from connectors.agents.http_agent import HttpAgent
from connectors.agents.http_proxy import FaultProxy, Upstream
from connectors.agents.python_agent import PythonAgent
from harness.waiting import until

CASE = EvalCase(id="c 1", input="how long?")
LONG_S = 60.0


@tool
def search(text: str) -> list[str]:
    return [text, "b"]


@tool(name="crm")
async def customer() -> dict[str, bool]:
    return {"paid": True}


def faulty(agent: Any, inject: str, log: Path | None = None) -> FaultyAgent:
    return FaultyAgent(agent, Injections.parse(inject, 1) if inject else Injections(), log)


def kinds(agent: FaultyAgent) -> list[tuple[str, str | None, bool]]:
    return [(use.tool, use.fault, use.applied) for use in agent.broken((CASE.id, 0, 0)).seen]


def calls(answer: Answer) -> list[dict[str, Any]]:
    return [{key: call[key] for key in call if key != "latency_ms"} for call in answer.tool_calls or ()]


def test_tools_of_a_function_are_broken_and_stand_for_the_calls_that_it_does_not_report() -> None:
    agent = faulty(PythonAgent("m:f", lambda text: f"{search(text)}"), "empty:search")
    answer = agent.ask(CASE, LONG_S)
    assert answer.output == "[]"
    assert calls(answer) == [{"name": "search", "ok": True, "items": 0, "empty": True}]
    assert kinds(agent) == [("search", "empty", True)]


def test_tools_of_a_coroutine_are_broken_on_the_loop_that_it_runs_on() -> None:
    async def asked(_: str) -> str:
        return str((await customer())["paid"])

    agent = faulty(PythonAgent("m:f", asked), "contradict:crm")
    assert agent.ask(CASE, LONG_S).output == "False"
    assert kinds(agent) == [("crm", "contradict", True)]
    agent.close()


def test_without_an_entry_tools_are_only_seen() -> None:
    agent = faulty(PythonAgent("m:f", lambda text: f"{search(text)}"), "")
    answer = agent.ask(CASE, LONG_S)
    assert answer.output == "['how long?', 'b']"
    assert calls(answer) == [{"name": "search", "ok": True, "items": 2}]
    assert agent.name == "m:f"


def test_an_agent_without_wrapped_tools_answers_as_ever() -> None:
    """So that rules on tools do not apply to an agent that reports none."""
    assert faulty(PythonAgent("m:f", str), "").ask(CASE, LONG_S).tool_calls is None
    assert faulty(PythonAgent("m:f", str), "error:*").ask(CASE, LONG_S).tool_calls is None


def test_calls_that_the_agent_reports_get_the_marks() -> None:
    def asked(text: str) -> dict[str, Any]:
        return {
            "output": str(search(text)),
            "tool_calls": [{"name": "search", "ok": True, "items": 2}, {"name": "mail"}],
        }

    answer = faulty(PythonAgent("m:f", asked), "stale:search,partial:search").ask(CASE, LONG_S)
    assert answer.tool_calls is not None
    assert [call["name"] for call in answer.tool_calls] == ["search", "mail"]
    assert {"stale", "partial"} & set(answer.tool_calls[0])


def test_tools_of_a_command_are_broken_in_its_process(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(
        "from aftercall.evals import tool\n@tool\ndef search(): return [1, 2]\nprint(search())\n"
    )
    agent = faulty(CommandAgent(f"{sys.executable} {tmp_path / 'agent.py'}"), "partial:search")
    answer = agent.ask(CASE, LONG_S)
    assert answer.output == "[1]"
    assert calls(answer) == [{"name": "search", "ok": True, "items": 1, "partial": True}]
    assert [use.case for use in agent.broken((CASE.id, 0, 0)).seen] == ["c 1"]


def test_what_was_broken_is_known_where_no_answer_came_in_time() -> None:
    def waits(text: str) -> str:
        search(text)
        raise LateAnswerError

    agent = faulty(PythonAgent("m:f", waits), "empty:search")
    with pytest.raises(LateAnswerError):
        agent.ask(CASE, LONG_S)
    seen, record = agent.broken((CASE.id, 0, 0))
    assert ([use.fault for use in seen], record) == (["empty"], {})


def test_an_agent_that_retries_for_ever_is_ended_once_its_result_is_there() -> None:
    def stubborn(text: str) -> str:
        while True:
            try:
                return str(search(text))
            except TimeoutError:
                time.sleep(0.001)

    agent = faulty(PythonAgent("m:f", stubborn), "timeout:search")

    def ask() -> None:
        with suppress(SystemExit):
            agent.ask(CASE, LONG_S)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: sum(len(tools.seen) for _, tools in agent._tools.values()) >= 30, lambda: agent._tools)
    seen = agent.broken((CASE.id, 0, 0)).seen
    thread.join(LONG_S)
    assert not thread.is_alive()
    assert len(seen) >= 30


def test_of_an_agent_that_never_ends_a_bounded_number_of_calls_is_kept() -> None:
    def endless(text: str) -> str:
        for _ in range(3000):
            search(text)
        return "done"

    agent = faulty(PythonAgent("m:f", endless), "empty:search")
    agent.ask(CASE, LONG_S)
    assert len(agent.broken((CASE.id, 0, 0)).seen) == 2000


class Service(BaseHTTPRequestHandler):
    """An agent behind a URL; its tool is behind a proxy, to which it hands on `baggage`."""

    tools = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        request = Request(f"{self.tools}/search", headers={"baggage": self.headers["baggage"]})  # noqa: S310
        with urlopen(request, timeout=LONG_S) as found:  # noqa: S310
            body = json.dumps({"output": found.read().decode()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"[1, 2]")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address of the agent, and the log of the proxy before its tools."""
    log = tmp_path / "log.jsonl"
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    proxy = FaultProxy(
        Upstream.parse(f"http://127.0.0.1:{upstream.server_address[1]}"),
        Injections.parse("empty:search", 1),
        lambda use: append_use(log, use),
    )
    Service.tools = proxy.url
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in (upstream, proxy)]
    for thread in threads:
        thread.start()
    yield f"http://127.0.0.1:{upstream.server_address[1]}/ask", log
    for server in (upstream, proxy):
        server.shutdown()
        server.server_close()


def test_tools_of_a_service_are_broken_by_the_proxy_whose_log_is_read(service: tuple[str, Path]) -> None:
    url, log = service
    append_use(log, SeenUse(CASE.id, "search", 1, "timeout", "timeout:search", True))  # of an earlier run
    agent = faulty(HttpAgent(url), "empty:search", log)
    answer = agent.ask(CASE, LONG_S)
    assert answer.output == "[]"
    assert [(call["name"], call.get("empty")) for call in answer.tool_calls or ()] == [("search", True)]
    assert kinds(agent) == [("search", "empty", True)]


def test_calls_of_tools_that_name_no_case_of_the_run_are_left_over(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    agent = faulty(PythonAgent("m:f", str), "empty:search", log)
    append_use(log, SeenUse("", "search", 1, "empty", "empty:search", True))
    append_use(log, SeenUse(CASE.id, "search", 1, "empty", "empty:search", True))
    agent.ask(CASE, LONG_S)
    assert kinds(agent) == [("search", "empty", True)]
    assert [use.case for use in agent.unclaimed()] == [""]


def test_each_question_is_kept_apart_by_repeat_and_attempt() -> None:
    agent = faulty(PythonAgent("m:f", lambda text: f"{search(text)}"), "empty:search")
    for repeat in (0, 1):
        ASKED.set(Asked(CASE.id, repeat))
        agent.ask(CASE, LONG_S)
    ASKED.set(None)
    assert len(agent.broken((CASE.id, 1, 0)).seen) == 1
    assert len(agent.broken((CASE.id, 0, 0)).seen) == 1
    assert agent.broken((CASE.id, 0, 0)).seen == []
    assert headers_of_case() == {}
