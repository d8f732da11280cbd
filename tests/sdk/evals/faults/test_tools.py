"""A wrapped tool is broken in a case and runs as it is elsewhere; each use is recorded, in threads and tasks too."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest

from aftercall.errors import UserError
from aftercall.evals.faults.injection import Injections
from aftercall.evals.faults.tools import tool
from aftercall.evals.faults.under import environment, under
from aftercall.evals.faults.uses import FaultLogError, SeenUse, append_use, read_uses

RAN: list[str] = []


@tool
def search(text: str) -> list[str]:
    RAN.append(text)
    return ["a", "b", "c", "d"]


@tool(name="crm")
async def customer(number: int) -> dict[str, object]:
    await asyncio.sleep(0)
    return {"id": number, "name": "Ann", "paid": True}


def test_outside_of_a_case_a_tool_runs_as_it_is() -> None:
    assert search("x") == ["a", "b", "c", "d"]
    assert asyncio.run(customer(4)) == {"id": 4, "name": "Ann", "paid": True}
    assert (search.__name__, customer.__name__) == ("search", "customer")


@pytest.mark.parametrize(("kind", "error"), [("timeout", TimeoutError), ("error", RuntimeError)])
def test_a_tool_that_times_out_or_fails_has_not_run(kind: str, error: type[Exception]) -> None:
    RAN.clear()
    with under(Injections.parse(f"{kind}:search"), "c1") as tools, pytest.raises(error):
        search("x")
    assert not RAN
    use = tools.seen[0]
    assert (use.case, use.tool, use.number, use.fault, use.applied, use.ok) == ("c1", "search", 1, kind, True, False)
    assert use.wire()["ok"] is False


def test_words_of_a_fault_do_not_say_that_it_is_a_test() -> None:
    """An agent that reads it would behave as in a test."""
    for kind in ("timeout", "error"):
        with under(Injections.parse(f"{kind}:search"), "c1"), pytest.raises((TimeoutError, RuntimeError)) as failed:
            search("x")
        assert not {"inject", "aftercall", "fault", "eval"} & set(str(failed.value).lower().replace(":", " ").split())


@pytest.mark.parametrize(
    ("kind", "result", "mark"),
    [("empty", [], "empty"), ("partial", ["a", "b"], "partial"), ("contradict", None, None)],
)
def test_a_result_comes_back_broken_and_marked(kind: str, result: object, mark: str | None) -> None:
    with under(Injections.parse(f"{kind}:search"), "c1") as tools:
        got = search("x")
    assert got == result if result is not None else len(got) > 4
    assert [name for name in ("empty", "partial", "stale") if tools.seen[0].wire().get(name)] == [mark] * bool(mark)


def test_a_fault_that_changes_nothing_is_not_applied() -> None:
    @tool
    def nothing() -> list[str]:
        return []

    with under(Injections.parse("partial:nothing"), "c1") as tools:
        assert nothing() == []
    assert (tools.seen[0].fault, tools.seen[0].applied, tools.seen[0].marks) == ("partial", False, {})


def test_a_coroutine_is_broken_in_tasks_and_counted_by_number() -> None:
    async def agent() -> list[object]:
        return await asyncio.gather(*(customer(number) for number in range(3)))

    with under(Injections.parse("slow:crm=1ms,stale:crm"), "c1") as tools:
        asyncio.run(agent())
    assert sorted(use.number for use in tools.seen) == [1, 2, 3]
    assert {use.fault for use in tools.seen} <= {"slow", "stale"}
    assert all(use.latency_ms >= 1 for use in tools.seen if use.fault == "slow")


def test_cases_at_once_do_not_meet() -> None:
    async def case(name: str) -> list[str]:
        with under(Injections.parse("empty:search"), name) as tools:
            await asyncio.to_thread(search, name)
            await asyncio.sleep(0)
            return [use.case for use in tools.seen]

    async def suite() -> list[list[str]]:
        return list(await asyncio.gather(case("c1"), case("c2")))

    assert asyncio.run(suite()) == [["c1"], ["c2"]]
    assert search("x") == ["a", "b", "c", "d"]


def test_threads_of_the_agent_are_in_the_case_only_with_its_context() -> None:
    with under(Injections.parse("empty:search"), "c1") as tools, ThreadPoolExecutor(1) as pool:
        assert pool.submit(search, "x").result() == ["a", "b", "c", "d"]
        assert pool.submit(copy_context().run, search, "x").result() == []
    assert len(tools.seen) == 1


def test_many_threads_get_each_number_once() -> None:
    with under(Injections.parse("empty:search=0.5"), "c1") as tools:
        threads = [threading.Thread(target=copy_context().run, args=(search, "x")) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(use.number for use in tools.seen) == list(range(1, 21))


def test_a_process_that_runs_a_case_breaks_its_tools_and_logs_them(tmp_path: Path) -> None:
    log = tmp_path / "faults.jsonl"
    code = "from aftercall.evals.faults.tools import tool\n@tool\ndef search(): return [1, 2]\nprint(search())\n"
    given = environment(Injections.parse("empty:search", 3), "c1", log)
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **given}, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
    assert [(use.case, use.tool, use.fault) for use in read_uses(log)[0]] == [("c1", "search", "empty")]


def test_a_log_is_read_back_but_for_a_line_that_was_cut(tmp_path: Path) -> None:
    log = tmp_path / "faults.jsonl"
    uses = [SeenUse("c1", "search", 1, "empty", "empty:*", True, items=0), SeenUse("c2", "crm", 1)]
    for use in uses:
        append_use(log, use)
    with log.open("a") as file:
        file.write('{"case": "c3", "to')
    found, at = read_uses(log)
    assert found == uses
    append_use(log, uses[0])  # ends the line that was cut, which is none then
    with pytest.raises(FaultLogError):
        read_uses(log, at)


@pytest.mark.parametrize("line", ["no json", "[]", '{"case": "c"}', "7"])
def test_a_line_of_something_else_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    log = tmp_path / "faults.jsonl"
    log.write_text(json.dumps({"case": "c", "tool": "t", "number": 1}) + "\n" + line + "\n")
    with pytest.raises(FaultLogError, match="line 2: must be a line that") as refused:
        read_uses(log)
    assert isinstance(refused.value, UserError)
