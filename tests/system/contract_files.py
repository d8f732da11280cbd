"""Contracts for synthetic histories of `system.runs`: two versions of one."""

from __future__ import annotations

from pathlib import Path

CONTRACT = """
contract = "summaries"
version = "1"
tasks = ["summarise"]

[[rule]]
id = "fast"
type = "latency"
max = 2500
severity = "critical"

[[rule]]
id = "tools"
type = "tool_failure_handled"
severity = "critical"

[[rule]]
id = "cheap"
type = "cost"
max = 0.009
when = { config = "v2" }

[[rule]]
id = "talk"
type = "session_budget"
usd = 0.05
severity = "minor"
"""
LATER = """
contract = "summaries"
version = "2"
effective_from = "2025-03-04T12:00:00Z"

[[rule]]
id = "retries"
type = "retry_limit"
attempts = 1

[[rule]]
id = "long"
type = "session_budget"
calls = 12
severity = "minor"
"""


def write_contracts(folder: Path) -> None:
    """Where the command looks for them."""
    (folder / "contracts").mkdir()
    (folder / "contracts" / "summaries-1.toml").write_text(CONTRACT)
    (folder / "contracts" / "summaries-2.toml").write_text(LATER)
