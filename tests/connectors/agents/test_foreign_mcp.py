"""Between the real client and the real server of MCP the proxy breaks what it says, and nothing else."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from aftercall.evals.faults.uses import read_uses
from harness.foreign import ROOT, SDK, run_foreign
from harness.foreign_mcp import AGENT, SERVER, mcp_python

pytestmark = [pytest.mark.slow]


@pytest.fixture
def session(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs an agent's session through the proxy; gives what the agent got."""
    python = mcp_python(tmp_path_factory.getbasetemp().parent)
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "agent.py").write_text(AGENT)

    def run(inject: str, times: int) -> dict[str, Any]:
        pipeline = ["env", f"PYTHONPATH={ROOT}{os.pathsep}{SDK}", sys.executable, "-m", "aftercall"]
        proxy = [*pipeline, "eval", "proxy", "--inject", inject, "--log", str(tmp_path / "log.jsonl"), "--seed", "1"]
        command = [*proxy, "--", str(python), str(tmp_path / "server.py")]
        found: dict[str, Any] = json.loads(run_foreign(python, tmp_path / "agent.py", json.dumps(command), str(times)))
        return found

    return run


def test_a_session_of_the_real_library_is_broken_where_it_should_be(session: Any, tmp_path: Path) -> None:
    found = session("empty:search=0.3,timeout:search=0.3,error:search=0.3,contradict:order", 12)
    assert found["tools"] == ["search", "order"]
    assert found["terms"] == "30 days"
    assert found["order"]["structuredContent"] == {"id": 7, "paid": False, "at": "2026-11-30"}
    seen = {f"{use.tool} {use.case}": use for use in read_uses(tmp_path / "log.jsonl")[0]}
    kinds = set()
    for at, got in enumerate(found["search"]):
        fault = seen[f"search c{at}"].fault
        kinds.add(fault)
        if fault == "timeout":
            assert "Request timed out" in got["error"]
        elif fault == "error":
            assert got["isError"] is True
        elif fault == "empty":
            assert (got["content"], got["structuredContent"]) == ([], {"result": []})
        else:
            assert got["structuredContent"] == {"result": ["a", "b", "c", "d"]}
    assert kinds == {None, "empty", "timeout", "error"}
