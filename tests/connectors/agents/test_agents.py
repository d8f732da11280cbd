"""Agents of Python and of the command line: whatever they do, an answer or one error of the case."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from aftercall.errors import UsageError
from aftercall.evals import EvalCase
from aftercall.evals.answer import MAX_ANSWER, AnswerError, LateAnswerError
from connectors.agents.command_agent import CommandAgent
from connectors.agents.python_agent import PythonAgent, function_at

CASE = EvalCase(input="how long?", id="c1")
LONG_S = 60.0


# --- functions ---


def asked(function: Any, timeout_s: float = LONG_S) -> Any:
    agent = PythonAgent("m:f", function)
    try:
        return agent.ask(CASE, timeout_s).output
    finally:
        agent.close()


async def later(question: str) -> str:
    return question.upper()


async def never(question: str) -> str:
    try:
        while True:
            await __import__("asyncio").sleep(3600)
    finally:
        ENDED.set()


ENDED = threading.Event()


class Callable:
    async def __call__(self, question: str) -> str:
        return question.upper()


@pytest.mark.parametrize("function", [str.upper, later, Callable(), lambda case: case.input.upper()])
def test_a_function_sync_or_async_is_called_with_the_input_or_the_case(function: Any) -> None:
    assert asked(function) == "HOW LONG?"


def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    with pytest.raises(LateAnswerError):
        asked(never, 0.05)
    assert ENDED.wait(LONG_S)


def test_the_agents_own_timeout_is_its_own_exception() -> None:
    async def agent(question: str) -> str:
        raise TimeoutError("of a tool")

    with pytest.raises(TimeoutError, match="of a tool"):
        asked(agent)


def test_async_calls_of_many_threads_share_one_event_loop() -> None:
    loops = set()

    async def agent(question: str) -> str:
        loops.add(id(__import__("asyncio").get_running_loop()))
        return question

    shared = PythonAgent("m:f", agent)
    threads = [threading.Thread(target=shared.ask, args=(CASE, LONG_S)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared.close()
    assert len(loops) == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise KeyError('x')", "raises KeyError: 'x'"),
        ("import sys; sys.exit(3)", "raises SystemExit: 3"),
        ("import not_there_at_all", "raises ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("f = 3", "must be a function; {module}:f is a int"),
        ("g = 3", "raises AttributeError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = f"agent_{abs(hash(source))}"
    (tmp_path / f"{module}.py").write_text(source)
    with pytest.raises(UsageError) as refused:
        function_at(f"{module}:f", "--agent")
    assert words.format(module=module) in str(refused.value)
    assert str(refused.value).startswith("--agent: must be a function")


def test_a_method_of_an_object_may_be_named() -> None:
    assert function_at("builtins:str.upper", "--agent")("a") == "A"


# --- commands ---


def test_a_command_gets_the_input_on_standard_input_and_its_output_is_the_answer() -> None:
    assert CommandAgent("cat").ask(CASE, LONG_S).output == "how long?"
    assert CommandAgent("tr a-z A-Z").ask(EvalCase(input={"n": "a"}), LONG_S).output == '{"N": "A"}'
    answer = CommandAgent("""echo '{"output": "a", "tool_calls": [], "cost_usd": 0.5}'""").ask(CASE, LONG_S)
    assert (answer.output, answer.tool_calls, answer.cost) == ("a", (), 0.5)


def test_a_command_that_does_not_read_its_input_is_no_error() -> None:
    assert CommandAgent("echo hello").ask(EvalCase(input="x" * 1_000_000), LONG_S).output == "hello"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("true", "the agent returned nothing"),
        ("false", "the command ended with code 1 (run it by hand to see what it prints)"),
        ("sh -c 'kill -9 $$'", "the command ended by signal 9 (run"),
        ("not-a-command-at-all", "the command cannot be started: No such file or directory"),
        (r"printf 'a\377'", "the answer is no UTF-8: byte 1 does not belong there"),
        ("yes", f"the answer has more than {MAX_ANSWER:,} bytes"),
    ],
)
def test_a_command_without_an_answer_is_an_error(command: str, words: str) -> None:
    with pytest.raises(AnswerError) as refused:
        CommandAgent(command).ask(CASE, LONG_S)
    assert str(refused.value).startswith(words)


def test_a_command_that_never_ends_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "children"
    began = time.monotonic()
    with pytest.raises(LateAnswerError):
        CommandAgent(f"sh -c 'sleep 3600 & echo $! > {mark}; wait'").ask(CASE, 0.5)
    assert time.monotonic() - began < LONG_S
    child = int(mark.read_text())
    until = time.monotonic() + LONG_S
    while is_alive(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_alive(child)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_command_that_closes_its_output_and_goes_on_is_too_late() -> None:
    with pytest.raises(LateAnswerError):
        CommandAgent("sh -c 'echo hello; exec >&-; sleep 3600'").ask(CASE, 0.5)


@pytest.mark.parametrize(("command", "words"), [("", "got an empty one"), ("echo 'a", "No closing quotation")])
def test_a_command_that_is_none_is_one_sentence(command: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        CommandAgent(command)
