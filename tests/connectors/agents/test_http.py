"""Agents behind HTTP: what is sent, what is read, and every way in which there is no answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from aftercall.errors import UsageError
from aftercall.evals import EvalCase
from aftercall.evals.answer import MAX_ANSWER, AnswerError, LateAnswerError
from connectors.agents.http_agent import HttpAgent, Shape

CASE = EvalCase(input="how long?", id="c1", metadata={"user": "u7"})
LONG_S = 60.0
Reply = tuple[int, dict[str, str], bytes]


class Service:
    """A service that answers each request as it is set to, and keeps what it got."""

    def __init__(self) -> None:
        self.reply: Callable[[Any], Reply] = lambda _: (200, {}, b"")
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.got.append((self.path, dict(self.headers), body))
                status, headers, sent = service.reply(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(BrokenPipeError, ConnectionResetError):  # what is too long is not read to its end
                    self.wfile.write(sent)

            do_GET = do_POST  # noqa: N815 - the library finds it by this name

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/ask"


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield service
    service.server.shutdown()
    service.server.server_close()


@pytest.fixture
def service(running: Service) -> Service:
    running.got.clear()
    return running


JSON = {"Content-Type": "application/json"}


def answering(
    body: bytes | str | dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> Callable[[Any], Reply]:
    if isinstance(body, dict):
        return answering(json.dumps(body), status, JSON)
    return lambda _: (status, headers or {}, body.encode() if isinstance(body, str) else body)


def test_a_question_is_posted_and_text_or_an_object_is_the_answer(service: Service) -> None:
    service.reply = answering("30 days")
    assert HttpAgent(service.url).ask(CASE, LONG_S).output == "30 days"
    path, headers, body = service.got[0]
    assert (path, headers["Content-Type"], json.loads(body)) == ("/ask", "application/json", {"input": "how long?"})
    service.reply = answering({"output": "a", "tool_calls": [{"name": "t"}], "attrs": {"x": 1}, "cost_usd": 0.5})
    answer = HttpAgent(service.url).ask(CASE, LONG_S)
    assert (answer.output, answer.tool_calls, answer.attrs, answer.cost) == ("a", ({"name": "t"},), {"x": 1}, 0.5)
    service.reply = answering({"days": 30})
    assert HttpAgent(service.url).ask(CASE, LONG_S).output == {"days": 30}


def test_a_request_of_another_shape_is_filled_in_and_its_answer_found(service: Service) -> None:
    request = {"messages": [{"text": "{input}"}], "trace": "run-{id}", "user": "{metadata.user}", "n": 1}
    service.reply = answering({"replies": [{"text": "30 days"}], "used": [{"name": "t"}], "usd": 0.25})
    shape = Shape(request, "replies.0.text", "used", "usd")
    answer = HttpAgent(service.url, shape, {"Authorization": "Bearer k"}).ask(CASE, LONG_S)
    assert (answer.output, answer.tool_calls, answer.cost) == ("30 days", ({"name": "t"},), 0.25)
    assert json.loads(service.got[0][2]) == {
        "messages": [{"text": "how long?"}], "trace": "run-c1", "user": "u7", "n": 1,
    }  # fmt: skip
    assert service.got[0][1]["Authorization"] == "Bearer k"


def test_an_input_that_is_no_text_is_sent_as_it_is(service: Service) -> None:
    service.reply = answering("x")
    HttpAgent(service.url).ask(EvalCase(input={"order": [1, 2]}), LONG_S)
    assert json.loads(service.got[0][2]) == {"input": {"order": [1, 2]}}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (answering(b""), "the agent returned nothing"),
        (answering(b"", headers=JSON), "the agent returned nothing"),
        (answering(b"a\xff"), "the answer is no UTF-8: byte 1 does not belong there"),
        (answering("{", headers=JSON), "the answer is said to be JSON and is none"),
        (answering("x" * (MAX_ANSWER + 1)), f"the answer has more than {MAX_ANSWER:,} bytes"),
        (answering("x" * (5 * MAX_ANSWER)), f"the answer has more than {MAX_ANSWER:,} bytes"),
        (answering("secret", 500), "the agent answered with status 500"),
        (answering("secret", 404), "the agent answered with status 404"),
        (
            answering("", 302, {"Location": "/ask"}),
            "the agent answered with status 302, a redirect, which is not followed",
        ),
        (answering("x", headers={"Content-Length": "100"}), "the agent ended in the middle of its answer"),
    ],
)
def test_a_service_without_an_answer_is_an_error(service: Service, reply: Callable[[Any], Reply], words: str) -> None:
    service.reply = reply
    with pytest.raises(AnswerError) as refused:
        HttpAgent(service.url).ask(CASE, LONG_S)
    assert str(refused.value).startswith(words)
    assert "secret" not in str(refused.value)
    assert len(service.got) == 1, "nothing is asked twice"


def test_an_answer_of_1_mib_is_read_whole(service: Service) -> None:
    service.reply = answering("x" * MAX_ANSWER)
    assert len(HttpAgent(service.url).ask(CASE, LONG_S).output) == MAX_ANSWER


def test_nothing_where_the_answer_should_lie_is_an_error(service: Service) -> None:
    service.reply = answering({"reply": {}})
    with pytest.raises(AnswerError, match=r"^the answer has nothing at reply\.text\.0$"):
        HttpAgent(service.url, Shape(output="reply.text.0")).ask(CASE, LONG_S)


def test_a_service_that_does_not_answer_is_too_late(service: Service) -> None:
    ended = threading.Event()
    service.reply = lambda _: (200, {}, b"x") if ended.wait(LONG_S) else (500, {}, b"")
    with pytest.raises(LateAnswerError):
        HttpAgent(service.url).ask(CASE, 0.2)
    ended.set()


def test_a_service_that_is_not_there_cannot_be_reached() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        url = f"http://127.0.0.1:{closed.server_address[1]}/"
    with pytest.raises(AnswerError, match=r"^the agent cannot be reached: Connection refused$"):
        HttpAgent(url).ask(CASE, LONG_S)


def test_its_name_holds_no_secret() -> None:
    assert HttpAgent("https://me:secret@host:81/path?key=secret").name == "https://host:81/path"


@pytest.mark.parametrize("url", ["http://", "https:///path", "http:host"])
def test_an_address_without_a_host_is_one_sentence(url: str) -> None:
    with pytest.raises(UsageError, match="must be a URL with a host"):
        HttpAgent(url)
