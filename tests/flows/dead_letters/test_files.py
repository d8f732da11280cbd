"""Dead letters of replays: listed, shown, and their records written into files that can be replayed."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aftercall.records import DeadLetter, to_json
from connectors.dead_letters import dead_letter
from flows.dead_letters.destinations import IntoFiles
from flows.dead_letters.logs import FileLog
from flows.dead_letters.redrive import carry_out, plan
from flows.dead_letters.selection import Selection, choose, survey
from flows.dead_letters.view import list_lines
from flows.runtime.run_folder import read_run, write_run
from flows.settings import load
from kafka.service import rfc3339
from system.commands import aftercall, assert_one_sentence, counts

pytestmark = pytest.mark.slow
SKEW = {"AFTERCALL_JOIN__MAX_FUTURE_SKEW": "2h"}
"""The setting under which a record of the next hour is none of the future."""


def write(path: Path, records: Sequence[object]) -> Path:
    lines = b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records)
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


def call(number: int, ahead_s: float, **more: Any) -> dict[str, Any]:
    at = rfc3339(time.time() + ahead_s)
    return {"call_id": f"c{number}", "occurred_at": at, "task_type": "t", "model": "m", **more}


def outcome(number: int, ahead_s: float, **more: Any) -> dict[str, Any]:
    at = rfc3339(time.time() + ahead_s)
    return {"outcome_id": "o", "call_id": f"c{number}", "occurred_at": at, "source": "s", "success": True, **more}


@pytest.fixture(scope="module")
def replayed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a replay has refused 5 calls and 5 outcomes of the future, and two lines for good."""
    tmp_path = tmp_path_factory.mktemp("refused")
    calls = [call(n, -600 if n < 3 else 3000, input="private") for n in range(8)]
    write(tmp_path / "calls.jsonl.gz", [*calls, b"{", '{"call_id": "\x9b31m", "occurred_at": "soon"}'.encode()])
    write(tmp_path / "outcomes.jsonl", [outcome(n, -500 if n < 3 else 3100) for n in range(8)])
    files = ("--calls", "calls.jsonl.gz", "--outcomes", "outcomes.jsonl")
    found = counts(aftercall(tmp_path, "replay", *files, "--out", "out", "--json"))
    assert (found["calls"], found["outcomes"], found["dead_letters"]) == (3, 3, 12)
    return tmp_path


@pytest.fixture
def refused(replayed_once: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    shutil.copytree(replayed_once, tmp_path, dirs_exist_ok=True, symlinks=True)
    return tmp_path


def replayed(folder: Path, out: str, **settings: str) -> dict[str, Any]:
    files = ("--calls", "again/calls.jsonl", "--outcomes", "again/outcomes.jsonl")
    return counts(aftercall(folder, "replay", *files, "--out", out, "--json", **settings))


def letters(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "dead_letters.jsonl").read_text().splitlines()]


def test_what_a_setting_refused_is_written_into_files_that_a_replay_counts_once(refused: Path) -> None:
    still = aftercall(refused, "dead-letters", "redrive", "--from", "out", "--to", "again", "--reason", "future")
    assert still.returncode == 3
    assert "would be refused again, not sent (--force sends them): 10" in still.stdout
    assert list((refused / "again").iterdir()) == []
    dry = aftercall(refused, "dead-letters", "redrive", "--from", "out", "--to", "again", "--dry-run", **SKEW)
    assert "would be sent again: 10\n" in dry.stdout
    assert list((refused / "again").iterdir()) == []
    done = aftercall(refused, "dead-letters", "redrive", "--from", "out", "--to", "again", **SKEW)
    assert (done.returncode, done.stderr) == (3, "")  # the two broken lines stay
    head, _, tail = done.stdout.partition("sent again: ")
    assert "would be refused again, not sent (--force sends them): 2" in head
    assert tail == "10\n       10  future\n"
    found = replayed(refused, "second", **SKEW)
    assert (found["calls"], found["outcomes"], found["duplicates"], found["dead_letters"]) == (5, 5, 0, 0)
    # All of each line is there: an original that was found has its input too.
    assert all("input" in json.loads(line) for line in (refused / "again" / "calls.jsonl").read_text().splitlines())


def test_what_was_redriven_is_marked_listed_and_skipped_unless_forced(refused: Path) -> None:
    redrive = ("dead-letters", "redrive", "--from", "out", "--to", "again", "--reason", "future")
    assert aftercall(refused, *redrive, **SKEW).returncode == 0
    marks = {mark["redriven_of"]: mark for mark in letters(refused) if mark["reason"] == "redriven"}
    assert set(marks) == {letter["event_id"] for letter in letters(refused) if letter["reason"] == "future"}
    assert {mark["origin"]["file"] for mark in marks.values()} == {"again/calls.jsonl", "again/outcomes.jsonl"}
    listed = json.loads(aftercall(refused, "dead-letters", "list", "--from", "out", "--json").stdout)
    assert listed["counts"]["future"] == 10
    assert sum(letter["redriven_to"] is not None for letter in listed["dead_letters"]) == 10
    again = aftercall(refused, *redrive, **SKEW)
    assert (again.returncode, again.stdout) == (
        0,
        "sent again: 0\nredriven before: 10 (--force sends them again)\n",
    )
    assert replayed(refused, "second", **SKEW)["records"] == 10
    assert "sent again: 10" in aftercall(refused, *redrive, "--force", **SKEW).stdout
    found = replayed(refused, "third", **SKEW)
    assert (found["calls"], found["outcomes"], found["duplicates"]) == (5, 5, 10)


def test_a_crash_between_sending_and_marking_makes_duplicates_and_loses_nothing(refused: Path) -> None:
    """As a kill would: what is sent is on the disk, half a line of what comes after it too, and no mark is."""
    settings = load(None, join={"max_future_skew": "2h"})
    log, files = FileLog(refused / "out"), IntoFiles(refused / "again")
    chosen = choose(log, Selection(frozenset({"future"})), repeat=False).letters
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(refused)
        planned = plan(chosen, log, settings, files)
    files.send(planned.ready[:7])
    for path in (refused / "again" / "outcomes.jsonl", refused / "out" / "dead_letters.jsonl"):
        with path.open("ab") as file:
            file.write(b'{"half": ')
    assert len(choose(log, Selection(frozenset({"future"})), repeat=False).letters) == 10
    assert carry_out(planned.ready, files, log).sent == 10
    found = replayed(refused, "second", **SKEW)
    assert (found["calls"], found["outcomes"], found["duplicates"], found["dead_letters"]) == (5, 5, 7, 0)
    assert choose(log, Selection(frozenset({"future"})), repeat=False).redriven == 10


def test_without_its_file_a_record_comes_from_the_payload_if_that_is_whole(refused: Path) -> None:
    (refused / "outcomes.jsonl").write_text("changed\n" * 20)  # other records at these places
    (refused / "calls.jsonl.gz").unlink()
    done = aftercall(refused, "dead-letters", "redrive", "--from", "out", "--to", "again", **SKEW)
    assert done.returncode == 3
    assert "sent again: 10\n       10  future\n10 of them from the payloads" in done.stdout
    assert all("input" not in json.loads(line) for line in (refused / "again" / "calls.jsonl").read_text().splitlines())
    found = replayed(refused, "second", **SKEW)
    assert (found["calls"], found["outcomes"]) == (5, 5)


@pytest.mark.parametrize(
    ("reason", "raw", "redact", "why"),
    [
        ("future", json.dumps(outcome(1, 0, more="x" * 70_000)).encode(), (), "the payload of its dead letter is not"),
        ("future", json.dumps(outcome(1, 0, reason="jane@x")).encode(), ("jane",), "the payload of its dead letter is"),
        ("orphan", None, (), "its dead letter has no payload"),
        ("erased", None, (), "its call was erased"),
        ("refused_output", None, (), "it was written by the pipeline"),
        ("too_large", b"x" * (2 << 20), (), "it has 2,097,152 bytes"),
    ],
)
def test_a_record_that_is_nowhere_whole_is_refused_with_that_sentence(
    reason: str, raw: bytes | None, redact: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    origin = None if reason == "refused_output" else {"file": "gone.jsonl", "line": 3}
    patterns = [re.compile(text) for text in redact]
    _, fields = dead_letter(reason, "a detail", origin, raw or b"", redact=patterns)  # type: ignore[arg-type] # None too
    fields |= {} if raw else {"payload": None}
    log = tmp_path / "dead_letters.jsonl"
    log.write_bytes(to_json(DeadLetter.sealed(**fields)) + b"\n")
    done = aftercall(tmp_path, "dead-letters", "redrive", "--from", log, "--to", "again", "--force")
    assert done.returncode == 3
    assert why in " ".join(done.stdout.split())
    assert "sent again: 0" in done.stdout
    assert list((tmp_path / "again").iterdir()) == []


def test_a_list_fits_80_columns_and_shows_no_code_of_a_record(refused: Path) -> None:
    done = aftercall(refused, "dead-letters", "list", "--from", "out", "--limit", "11")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "12 dead letters in out/dead_letters.jsonl"
    assert lines[1].split()[:2] == ["10", "future"]
    assert lines[-1] == "and 1 older ones (--limit N)"
    assert max(map(len, lines)) <= 80
    assert "\x9b" not in done.stdout
    only = aftercall(refused, "dead-letters", "list", "--from", "out", "--reason", "not_json", "--reason", "future")
    assert only.stdout.startswith("11 dead letters in ")


def test_a_dead_letter_is_shown_by_the_beginning_of_its_id_with_what_can_be_had(refused: Path) -> None:
    (letter,) = [each for each in letters(refused) if each["reason"] == "bad_time"]
    show = ("dead-letters", "show", letter["event_id"][:8], "--from", "out")
    done = aftercall(refused, *show)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x9b" not in done.stdout
    assert "\\x9b31m" in done.stdout
    assert "original     can be read where it was" in done.stdout
    assert json.loads(aftercall(refused, *show, "--json").stdout)["original"] == "origin"
    (refused / "calls.jsonl.gz").unlink()
    assert json.loads(aftercall(refused, *show, "--json").stdout)["original"] in {"payload", None}


SENTENCES: list[tuple[tuple[str, ...], int, str]] = [
    (("show", "f" * 32, "--from", "out"), 1, "none has it"),
    (("show", "xyz", "--from", "out"), 2, "hexadecimal digits"),
    (("list", "--from", "nowhere"), 2, "there is no file nowhere"),
    (("list",), 2, "--config, --from: one of them must say where the dead letters are"),
    (("list", "--from", "out", "--since", "2h"), 2, "--since: must be left out with --from"),
    (("list", "--since", "soon"), 2, "--since: "),
    (("list", "--from", "out", "--reason", "redriven"), 2, "--reason: must be a reason of dead letters"),
    (("redrive", "--from", "out"), 2, "--to: must name a folder"),
    (("redrive", "--from", "out", "--to", "out/run"), 2, "--to: must be a folder"),
]


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dead_letters.jsonl").touch()
    (tmp_path / "out" / "run").touch()
    for arguments, code, part in SENTENCES:
        assert_one_sentence(aftercall(tmp_path, "dead-letters", *arguments), code, part)
    none = aftercall(tmp_path, "dead-letters", "list", "--from", "out")
    assert (none.returncode, none.stdout, none.stderr) == (0, "0 dead letters in out/dead_letters.jsonl\n", "")
    nothing = aftercall(tmp_path, "dead-letters", "redrive", "--from", "out", "--to", "again")
    assert (nothing.returncode, nothing.stdout) == (0, "sent again: 0\n")


def test_nothing_is_appended_to_a_file_that_was_replayed(refused: Path) -> None:
    before = (refused / "outcomes.jsonl").read_bytes()
    done = aftercall(refused, "dead-letters", "redrive", "--from", "out", "--to", ".", **SKEW)
    assert_one_sentence(done, 2, "--to: must not hold the files that were replayed")
    assert (refused / "outcomes.jsonl").read_bytes() == before
    assert not (refused / "calls.jsonl").exists()


def test_what_a_pattern_redacts_stays_out_of_what_is_printed(refused: Path) -> None:
    (refused / "aftercall.toml").write_text('[privacy]\nredact = ["occurred_at"]\n')
    done = aftercall(refused, "dead-letters", "redrive", "--from", "out", "--to", "again", "--config", "aftercall.toml")
    assert "[redacted]" in done.stdout
    assert "occurred_at" not in done.stdout


def test_the_log_of_a_replay_that_has_not_ended_is_left_alone(refused: Path) -> None:
    state = refused / "out" / "state"
    write_run(state, read_run(state) | {"finished": False})
    done = aftercall(refused, "dead-letters", "list", "--from", "out")
    assert_one_sentence(done, 1, "its replay must have ended")


def test_one_command_takes_a_bounded_number_the_oldest_first(refused: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.dead_letters.selection.MOST_RECORDS", 4)
    log = FileLog(refused / "out")
    chosen = choose(log, Selection(), repeat=False)
    assert (len(chosen.letters), chosen.left) == (4, 8)
    assert [letter.order for letter in chosen.letters] == [(1,), (2,), (3,), (4,)]
    found = survey(log, Selection(), 2)
    assert [letter.order for letter in found.newest] == [(12,), (11,)]
    assert "and 10 older ones (--limit N)" in list(list_lines(found, log.name))
