"""Contracts look into texts of which no file of a run has anything, however it was killed, whatever they find."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any, Final

import pytest

from harness.planted import TEXT_TOKENS, failing_contract, planted
from harness.waiting import HANG_S
from system.commands import table
from system.forks import Fork
from system.runs import OUTPUTS, History, command, environment, history

pytestmark = pytest.mark.slow  # each starts processes
CALLS: Final = 3_000
KILLS: Final = 2


def with_tokens(folder: Path) -> History:
    """A history that is hard, whose calls have texts that break every rule."""
    made = history(folder, calls=CALLS)
    lines = made.calls.read_text().splitlines()
    changed = [
        json.dumps(planted(json.loads(line))) if line.startswith('{"call_id": "call-') else line for line in lines
    ]
    made.calls.write_text("".join(line + "\n" for line in changed))
    return made


def replayed(made: History, out: Path, *, kills: int, **settings: str) -> int:
    """Replay, killed so often at some moment, and then to its end; returns how often it was still running."""
    killed, draw, env = 0, random.Random(3), environment(**settings)
    files = {"out": out.parent / "printed.txt", "err": out.parent / "errors.txt"}
    for _ in range(kills):
        process = Fork(command(made, out, 2), cwd=out.parent, env=env, **files)
        stored = len(list((out / "state").rglob("*")))
        deadline = time.monotonic() + HANG_S
        while process.poll() is None and time.monotonic() < deadline:
            if len(list((out / "state").rglob("*"))) > stored + 3:
                time.sleep(draw.uniform(0, 0.5))
                break
            time.sleep(0.005)
        killed += process.poll() is None
        process.kill()
        process.wait()
    assert Fork(command(made, out, 2), cwd=out.parent, env=env, **files).wait() == 0, files["err"].read_text()
    return killed


def assert_absent(token: str, folder: Path, but: tuple[Path, ...]) -> None:
    searched = [path for path in folder.rglob("*") if path.is_file() and path not in but]
    assert len(searched) > len(OUTPUTS)
    for path in searched:
        assert token.encode() not in path.read_bytes(), (token, path)


def assert_every_rule_failed(out: Path, rules: list[dict[str, Any]]) -> None:
    (judged,) = table(out, "SELECT count(*) FROM calls WHERE attempt = 0 AND call_id LIKE 'call-%'")[0]
    assert judged > CALLS * 0.9
    found = table(out, "SELECT rule, result, count(DISTINCT call_id) FROM checks GROUP BY ALL ORDER BY ALL")
    assert found == [(rule["id"], "fail", judged) for rule in sorted(rules, key=lambda rule: rule["id"])]


def test_no_byte_of_a_text_is_left_by_a_killed_replay_whose_every_content_rule_fails(tmp_path: Path) -> None:
    made, out = with_tokens(tmp_path), tmp_path / "run" / "out"
    out.parent.mkdir()
    rules = failing_contract(out.parent / "contracts")
    assert replayed(made, out, kills=KILLS) > 0
    assert_every_rule_failed(out, rules)
    for token in TEXT_TOKENS:
        assert_absent(token, out.parent, ())
        for (name,) in table(out, "SELECT table_name FROM duckdb_tables()"):
            assert token not in repr(table(out, f"SELECT * FROM {name}")), (token, name)
    assert table(out, "SELECT DISTINCT error FROM tool_calls WHERE name = 'search' AND error IS NOT NULL") == [
        ("NotFound",)
    ]


def test_snippets_show_what_redaction_leaves(tmp_path: Path) -> None:
    made, out = with_tokens(tmp_path), tmp_path / "run" / "out"
    out.parent.mkdir()
    rules = failing_contract(out.parent / "contracts")
    secret, shown = TEXT_TOKENS[0], TEXT_TOKENS[1]
    settings = {
        "AFTERCALL_CONTRACTS__EVIDENCE": "snippet",
        "AFTERCALL_PRIVACY__REDACT": json.dumps([f"{secret[:4]}[a-z]+"]),
    }
    replayed(made, out, kills=0, **settings)
    assert_every_rule_failed(out, rules)
    assert_absent(secret, out.parent, ())
    details = table(out, "SELECT DISTINCT rule, details FROM checks")
    showing = {rule for rule, words in details if shown in words}
    assert showing == {"json", "markdown", "pattern", "rivals", "safety", "schema"}
    assert not any(secret in words for _, words in details)
    assert all("[redacted]" in words for rule, words in details if rule in showing)
