"""A client that is off has the same methods, and starts, loads and sends nothing."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from pathlib import Path

import pytest

from aftercall import Client
from aftercall.testing import MemoryTransport

VARIABLES = ("AFTERCALL_DISABLED", "AFTERCALL_KAFKA", "AFTERCALL_URL", "AFTERCALL_FILE")


@pytest.fixture(autouse=True)
def _no_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def off(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("AFTERCALL_DISABLED", "1")
    return Client(kafka="localhost:1")


def answer(question: str) -> str:
    return question


def test_everything_works_and_nothing_starts(off: Client) -> None:
    threads = threading.active_count()
    assert off.track("support", model="large")(answer) is answer
    with off.track("support", model="large") as call:
        call.set(model="other", attrs={"a": 1})
        call.observe(object())
        with call.tool("search") as tool, call.attempt(model="x"):
            tool.set(items=1)
    assert call.call_id == call.call_id != ""
    with off.track("support", model="large", call_id="mine") as mine:
        assert mine.call_id == "mine"
    result = off.call("support", answer, "where?", model="large")
    assert (result.response, bool(result.call_id)) == ("where?", True)
    assert off.outcome("c1", source="judge", success=True, outcome_id="o1") == "o1"
    assert off.retract("c1", source="judge")
    assert off.flushes(answer)("x") == "x"
    assert off.flush()
    assert asyncio.run(off.flush_async())
    with off.session("conv"):
        assert off.bind(answer)("x") == "x"
    off.close()
    stats = off.stats()
    assert (stats.emitted, stats.balanced) == (0, True)
    assert threading.active_count() == threads


def test_ids_of_calls_differ_where_the_client_is_off(off: Client) -> None:
    ids = set()
    for _ in range(3):
        with off.track("support", model="large") as call:
            ids.add(call.call_id)
    assert len(ids) == 3
    assert len({off.outcome("c1", source="judge", success=True) for _ in range(3)}) == 3


def test_without_a_destination_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "aftercall"):
        client = Client()
        client.track("support", model="large")(answer)("x")
    (record,) = caplog.records
    assert "off" in record.message
    assert "AFTERCALL_KAFKA" in record.message
    assert client.stats().emitted == 0


def test_the_environment_gives_the_destination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERCALL_FILE", str(tmp_path / "events"))
    client = Client(spool=None)
    client.track("support", model="large")(answer)("x")
    client.outcome("c1", source="judge", success=True)
    assert client.flush(30)
    client.close()
    assert '"task_type":"support"' in (tmp_path / "events" / "calls.jsonl").read_text()
    assert '"source":"judge"' in (tmp_path / "events" / "outcomes.jsonl").read_text()


def test_disabled_wins_over_a_transport(memory: MemoryTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERCALL_DISABLED", "true")
    Client(transport=memory).track("support", model="large")(answer)("x")
    assert memory.calls == []


def test_a_client_that_is_off_loads_no_emitter() -> None:
    import subprocess

    code = (
        "import sys\nfrom aftercall import Client\nclient = Client()\nclient.track('t', model='m')(int)()\n"
        "client.outcome('c', source='judge', success=True)\nclient.close()\n"
        "print([name for name in sys.modules if name.startswith('aftercall.emitter') or name == 'pydantic'])"
    )
    path = {"PYTHONPATH": str(Path(sys.modules["aftercall"].__file__ or "").parent.parent), "AFTERCALL_DISABLED": "1"}
    ran = subprocess.run([sys.executable, "-S", "-c", code], env=path, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_section_of_the_pipelines_settings_is_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERCALL_KAFKA", '{"brokers": "localhost:9092"}')
    assert Client().track("support", model="large")(answer) is answer
