"""Texts of calls, from the files of a replay to `aftercall show`: which are kept, where they are, and through kills."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from aftercall import open_snapshot
from connectors.texts.pieces import TEXTS_FOLDER
from harness.texts import kept
from system.commands import aftercall, assert_one_sentence, call, lines, outcome, table
from system.forks import Fork
from system.replays import REPLAY
from system.runs import History, command, environment, history

pytestmark = pytest.mark.slow  # each starts processes

PLANTED, SECRET = "the planted token", "jane@example"
CALLS = 60


def write(folder: Path) -> None:
    """Calls with texts, of which every third failed; one has failed by itself, and one waits for its outcome."""
    texts = {"input": f"{PLANTED} of {SECRET}", "output": f"{PLANTED} for {SECRET}"}
    tool = {"name": "search", "ok": True, "input": f"{PLANTED} in a tool", "output": f"{PLANTED} out of a tool"}
    calls = [call(number, **texts, tool_calls=[tool]) for number in range(CALLS)]
    calls += [call(CALLS, error="timed out", **texts), call(CALLS + 1, **texts), call(CALLS + 2, cost_usd=-1, **texts)]
    (folder / "calls.jsonl").write_bytes(lines(calls))
    (folder / "outcomes.jsonl").write_bytes(lines(outcome(number) for number in range(CALLS)))


def replayed(folder: Path, keep: str, **settings: str) -> Path:
    redact = {"AFTERCALL_PRIVACY__REDACT": r'["[a-z]+@example"]', "AFTERCALL_TEXTS__KEEP": keep}
    done = aftercall(folder, *REPLAY, **redact | settings)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "out"


FAILED = {f"call-{number}" for number in range(0, CALLS, 3)} | {f"call-{CALLS}"}


@pytest.mark.parametrize("keep", ["none", "failed", "sampled", "all"])
def test_each_setting_keeps_the_texts_that_it_names_and_no_other_file_has_any(tmp_path: Path, keep: str) -> None:
    write(tmp_path)
    out = replayed(tmp_path, keep, AFTERCALL_TEXTS__SAMPLE="0.5")
    texts = kept(out)
    ids = {text.call_id for text in texts}
    everything = {f"call-{number}" for number in range(CALLS + 2)}
    if keep == "sampled":
        assert ids < everything
        assert len(ids) > CALLS / 4
    else:
        assert ids == {"none": set(), "failed": FAILED, "all": everything}[keep]
    assert len(texts) == len(ids) == table(out, "SELECT texts_kept FROM pipeline")[0][0]
    for text in texts:
        assert (text.input, text.output) == (f"{PLANTED} of [redacted]", f"{PLANTED} for [redacted]")
        if text.tools is not None:
            assert json.loads(text.tools)[0]["output"] == f"{PLANTED} out of a tool"
    others = [path for path in out.rglob("*") if path.is_file() and path.relative_to(out).parts[0] != TEXTS_FOLDER]
    assert len(others) > 6
    for path in others:
        assert PLANTED.encode() not in path.read_bytes(), path
        assert SECRET.encode() not in path.read_bytes(), path
    for (name,) in table(out, "SELECT table_name FROM duckdb_tables()"):
        assert PLANTED not in repr(table(out, f"SELECT * FROM {name}")), name


def twice_reported() -> list[dict[str, Any]]:
    """Records of calls at their start, then those at their end: of every sixth call these alone have texts."""
    starts, ends = [], []
    for number in range(CALLS):
        tool = {"name": "search", "output": f"{PLANTED} out of tool {number}"}
        end = {"output": f"{PLANTED} for {number}", "tool_calls": [tool], "input": "not this one"}
        late = {"error": "timed out"} if number % 10 == 1 else {}
        start = call(number, input=f"{PLANTED} of {number}")
        if number % 6 == 0:
            start, end["input"] = call(number), f"{PLANTED} of {number}"
        starts.append(start)
        ends.append(call(number, **end | late))
    return starts + ends


@pytest.mark.parametrize("keep", ["failed", "sampled", "all"])
def test_a_call_reported_at_its_start_and_at_its_end_has_the_texts_of_both(tmp_path: Path, keep: str) -> None:
    (tmp_path / "calls.jsonl").write_bytes(lines(twice_reported()))
    (tmp_path / "outcomes.jsonl").write_bytes(lines(outcome(number) for number in range(CALLS) if number % 10 != 1))
    out = replayed(tmp_path, keep, AFTERCALL_TEXTS__SAMPLE="0.5")
    everything = {f"call-{number}" for number in range(CALLS)}
    failed = {f"call-{number}" for number in range(CALLS) if number % 3 == 0 or number % 10 == 1}
    texts = kept(out)
    ids = {text.call_id for text in texts}
    assert len(texts) == len(ids)
    if keep == "sampled":
        assert ids < everything
        assert len(ids) > CALLS / 4
    else:
        assert ids == (failed if keep == "failed" else everything)
    for text in texts:
        number = text.call_id.removeprefix("call-")
        assert text[2:4] == (f"{PLANTED} of {number}", f"{PLANTED} for {number}")
        assert json.loads(text.tools or "") == [{"name": "search", "output": f"{PLANTED} out of tool {number}"}]
    if "call-1" in ids:
        (shown,) = json.loads(aftercall(tmp_path, "show", "call-1", "--snapshot", "out", "--json").stdout)["texts"]
        assert (shown["input"], shown["output"]) == (f"{PLANTED} of 1", f"{PLANTED} for 1")


def test_a_text_that_waits_for_its_call_to_fail_is_in_no_other_file_either(tmp_path: Path) -> None:
    """Of a run that is killed while texts wait; their files are unpacked for the search."""
    made = with_texts(tmp_path, calls=6_000)
    out = tmp_path / "out"
    interrupted(made, out, "failed", lambda: any((out / "state" / "texts").glob("*")) and (out / "texts").exists())
    waiting = list((out / "state" / "texts").glob("*"))
    assert waiting
    for path in out.rglob("*"):
        if path.is_file() and path.suffix not in {".parquet", ".buffer"}:
            assert b"question of call" not in path.read_bytes(), path
    assert {path.stat().st_mode & 0o077 for path in (out / "state", out / "texts")} == {0}


def test_a_long_text_is_cut_and_a_later_start_may_keep_others(tmp_path: Path) -> None:
    write(tmp_path)
    settings = {"AFTERCALL_TEXTS__KEEP": "all", "AFTERCALL_TEXTS__MAX_BYTES": "64"}
    (tmp_path / "calls.jsonl").write_bytes(lines([call(1, input="x" * 100)]))
    assert aftercall(tmp_path, *REPLAY, **settings).returncode == 0
    assert [text.input for text in kept(tmp_path / "out")] == ["x" * 55 + " ...[cut]"]
    again = aftercall(tmp_path, *REPLAY, **settings | {"AFTERCALL_TEXTS__KEEP": "none"})
    assert again.returncode == 0
    assert "texts.keep was 'all', is 'none'" in again.stderr


# --- `aftercall show` ------------------------------------------------------------------------------------------------


def test_show_prints_the_call_its_ledger_its_verdict_its_tools_and_its_texts_in_80_columns(tmp_path: Path) -> None:
    write(tmp_path)
    replayed(tmp_path, "failed")
    done = aftercall(tmp_path, "show", "call-3", "--snapshot", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    for part in (
        "call call-3 · summarise · m-1/default",
        "verdict: failure, by human_review",
        "statements (1), in the order of the ledger:",
        "human_review · failure",
        "1 search · ok",
        f"output: {PLANTED} out of a tool",
        f"input:\n  {PLANTED} of [redacted]",
    ):
        assert part in done.stdout, done.stdout
    plain = json.loads(aftercall(tmp_path, "show", "call-3", "--snapshot", "out", "--json").stdout)
    assert plain["texts"][0]["output"] == f"{PLANTED} for [redacted]"
    assert plain["tools"][0]["name"] == "search"
    assert [row["success"] for row in plain["statements"]] == [False]


def test_show_prints_failed_attempts_after_their_call_and_keeps_no_text_for_their_sake(tmp_path: Path) -> None:
    tried = [{"model": "m-8", "error": "429", "latency_ms": 70}, {"model": "m-9", "error": "overloaded"}]
    records = [call(number, input=f"{PLANTED} of {number}", attempts=tried) for number in (1, 3)]
    (tmp_path / "calls.jsonl").write_bytes(lines(records))
    (tmp_path / "outcomes.jsonl").write_bytes(lines([outcome(1), outcome(3)]))
    out = replayed(tmp_path, "failed")
    shown = aftercall(tmp_path, "show", "call-3", "--snapshot", "out").stdout
    parts = [
        "call call-3 · ",
        "verdict: failure",
        "attempt 1 failed · m-8/default · 70 ms · 429",
        "attempt 2",
        "input:",
    ]
    assert sorted(parts, key=shown.index) == parts
    assert [text.call_id for text in kept(out)] == ["call-3"]


def test_show_says_which_setting_would_have_kept_a_text(tmp_path: Path) -> None:
    write(tmp_path)
    replayed(tmp_path, "failed")
    shown = " ".join(aftercall(tmp_path, "show", "call-4", "--snapshot", "out").stdout.split())
    assert "verdict: success" in shown
    assert "texts: none of this call are kept, only those of others" in shown
    assert '([texts] keep = "all" keeps those of all calls)' in shown


def test_show_of_an_unknown_id_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path)
    replayed(tmp_path, "none")
    assert_one_sentence(aftercall(tmp_path, "show", "nothing", "--snapshot", "out"), 1, "there is none with the id")
    assert_one_sentence(aftercall(tmp_path, "show", "call-1", "--snapshot", "elsewhere"), 1, "must be a file")


def test_encrypted_texts_are_shown_to_who_has_the_key(tmp_path: Path) -> None:
    write(tmp_path)
    key, other = tmp_path / "key", tmp_path / "other"
    key.write_bytes(b"k" * 32)
    other.write_bytes(b"o" * 32)
    out = replayed(tmp_path, "all", AFTERCALL_TEXTS__KEY_FILE=str(key))
    assert all(PLANTED.encode() not in path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert list((out / TEXTS_FOLDER).rglob("*.parquet.*"))
    for given, there in (([], False), (["--key-file", "other"], False), (["--key-file", "key"], True)):
        done = aftercall(tmp_path, "show", "call-1", "--snapshot", "out", *given)
        assert done.returncode == 0
        assert (PLANTED in done.stdout) == there
        assert ("encrypted" in done.stdout) == (not there)
    with open_snapshot(out) as snapshot:
        assert snapshot.execute("SELECT count(*) FROM texts").fetchall() == [(0,)]


def test_a_file_that_is_no_key_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "key").write_bytes(b"short")
    done = aftercall(tmp_path, *REPLAY, AFTERCALL_TEXTS__KEEP="all", AFTERCALL_TEXTS__KEY_FILE="key")
    assert_one_sentence(done, 2, "texts.key_file: key must have 16, 24, 32 bytes; it has 5")


# --- SQL -------------------------------------------------------------------------------------------------------------


def test_the_view_joins_texts_with_their_calls(tmp_path: Path) -> None:
    write(tmp_path)
    out = replayed(tmp_path, "failed")
    query = """
        SELECT c.verdict, count(*) FROM texts t JOIN outcomes.calls c USING (call_id, occurred_at)
        WHERE c.attempt = 0 GROUP BY ALL
    """
    with open_snapshot(out) as snapshot:
        assert snapshot.execute(query).fetchall() == [("failure", len(FAILED))]
        assert snapshot.cursor().execute(query).fetchall() == [("failure", len(FAILED))]


def test_a_snapshot_without_texts_has_an_empty_view(tmp_path: Path) -> None:
    write(tmp_path)
    out = replayed(tmp_path, "none")
    assert not (out / TEXTS_FOLDER).exists()
    with open_snapshot(out) as snapshot:
        assert snapshot.execute("SELECT call_id, tools FROM texts").fetchall() == []


# --- kills -----------------------------------------------------------------------------------------------------------


def with_texts(folder: Path, *, calls: int) -> History:
    """A history that is hard, whose calls have an input."""
    made = history(folder, calls=calls)
    texted = []
    for line in made.calls.read_text().splitlines():
        record: dict[str, Any] | None = None
        if line.startswith('{"call_id": "call-'):
            record = json.loads(line)
            record["input"] = f"question of {record['call_id']}"
        texted.append((line if record is None else json.dumps(record)) + "\n")
    made.calls.write_text("".join(texted))
    return made


def interrupted(made: History, out: Path, keep: str, moment: Any, *, workers: int = 1, after_s: float = 60.0) -> bool:
    """Replay, and kill at a moment or after so long; whether it was still running."""
    printed, errors = out.parent / "printed.txt", out.parent / "errors.txt"
    env = environment(AFTERCALL_TEXTS__KEEP=keep)
    process = Fork(command(made, out, workers), cwd=out.parent, env=env, out=printed, err=errors)
    deadline = time.monotonic() + after_s
    while process.poll() is None and time.monotonic() < deadline and not moment():
        time.sleep(0.002)
    alive = process.poll() is None
    process.kill()
    process.wait()
    return alive


@pytest.mark.parametrize(
    ("keep", "workers"),
    [("failed", 2), pytest.param("all", 1, marks=pytest.mark.long)],
)
def test_a_run_killed_again_and_again_keeps_each_text_once(tmp_path: Path, keep: str, workers: int) -> None:
    made = with_texts(tmp_path, calls=12_000)
    reference, out, draw = tmp_path / "reference", tmp_path / "out", random.Random(7)
    env = environment(AFTERCALL_TEXTS__KEEP=keep)
    for target in (reference, out):
        kills = 0
        while target == out and kills < 4:
            before = len(list((out / "texts").rglob("*.parquet"))) if out.exists() else 0
            wait_s, begun = draw.uniform(0, 0.5), [0.0]

            def moment(before: int = before, wait_s: float = wait_s, begun: list[float] = begun) -> bool:
                """A while after new texts have been written."""
                if not begun[0] and len(list((out / "texts").rglob("*"))) > before + 1:
                    begun[0] = time.monotonic()
                return bool(begun[0]) and time.monotonic() - begun[0] > wait_s

            if not interrupted(made, out, keep, moment, workers=workers):
                break
            kills += 1
        process = Fork(
            command(made, target, workers),
            cwd=tmp_path,
            env=env,
            out=tmp_path / "printed.txt",
            err=tmp_path / "errors.txt",
        )
        assert process.wait() == 0
        assert target == reference or kills > 0
    found, expected = kept(out), kept(reference)
    assert len(expected) > 1_000
    assert found == expected
    of_calls = "verdict = 'failure'" if keep == "failed" else "true"
    query = f"SELECT count(*) FROM calls WHERE attempt = 0 AND {of_calls}"
    with duckdb.connect(str((out / "outcomes.duckdb").resolve()), read_only=True) as snapshot:
        assert snapshot.execute(query).fetchall()[0][0] <= len(found)
    assert table(out, "SELECT texts_kept FROM pipeline") == [(len(found),)]
