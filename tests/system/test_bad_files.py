"""Files, output folders and settings that cannot be used are one sentence, and change nothing."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from system.commands import aftercall, assert_one_sentence, call, counts, lines, outcome
from system.run_file import change_run
from system.runs import left, sums_that_fail

pytestmark = pytest.mark.slow  # each starts processes


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A folder with a file of calls and one of outcomes."""
    (tmp_path / "calls.jsonl").write_bytes(lines(call(number) for number in range(20)))
    (tmp_path / "outcomes.jsonl").write_bytes(lines(outcome(number) for number in range(20)))
    return tmp_path


def half_gz(folder: Path) -> str:
    packed = gzip.compress((folder / "calls.jsonl").read_bytes())
    (folder / "half.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    return "half.jsonl.gz"


def half_zst(folder: Path) -> str:
    packed = zstd.compress((folder / "calls.jsonl").read_bytes())
    (folder / "half.jsonl.zst").write_bytes(packed[: len(packed) // 2])
    return "half.jsonl.zst"


def no_gz(folder: Path) -> str:
    (folder / "no.jsonl.gz").write_bytes((folder / "calls.jsonl").read_bytes())
    return "no.jsonl.gz"


def no_zst(folder: Path) -> str:
    (folder / "no.jsonl.zst").write_bytes((folder / "calls.jsonl").read_bytes())
    return "no.jsonl.zst"


def a_folder(folder: Path) -> str:
    (folder / "folder.jsonl").mkdir()
    return "folder.jsonl"


UNREADABLE: dict[Callable[[Path], str], str] = {
    lambda _: "nowhere.jsonl": "no such file",
    a_folder: "Is a directory",
    half_gz: "ends in the middle",
    half_zst: "ends in the middle",
    no_gz: "not compressed as its name says",
    no_zst: "not compressed as its name says",
}


@pytest.mark.parametrize(("make", "why"), UNREADABLE.items())
def test_a_file_that_cannot_be_read_ends_in_one_sentence(sound: Path, make: Callable[[Path], str], why: str) -> None:
    name = make(sound)
    done = aftercall(sound, "replay", "--calls", "calls.jsonl", name, "--out", "out")
    assert_one_sentence(done, 1, f"{name}: ", why)
    assert not (sound / "out" / "outcomes.duckdb").exists()


def test_a_half_written_last_line_is_a_dead_letter_and_a_warning(sound: Path) -> None:
    with (sound / "calls.jsonl").open("ab") as file:
        file.write(lines([call(21)])[:-10])
    done = aftercall(
        sound, "replay", "--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl", "--out", "out", "--json"
    )
    assert counts(done)["dead_letter_reasons"] == {"truncated": 1}
    assert counts(done)["calls"] == 20
    assert done.stderr.startswith("aftercall: calls.jsonl, line 21: is half-written")
    assert done.stderr.count("\n") == 1


def test_a_whole_last_line_without_an_end_is_read(sound: Path) -> None:
    (sound / "calls.jsonl").write_bytes(lines(map(call, range(3))).rstrip(b"\n"))
    done = aftercall(sound, "replay", "--calls", "calls.jsonl", "--out", "out", "--json")
    assert (counts(done)["calls"], done.stderr) == (3, "")


# --- the output folder -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["calls.jsonl/out", "calls.jsonl", "/proc/out"])
def test_an_output_folder_that_cannot_be_written_ends_in_one_sentence(sound: Path, out: str) -> None:
    done = aftercall(sound, "replay", "--calls", "calls.jsonl", "--out", out)
    assert_one_sentence(done, 1, f"{out}: the output folder must be writable", "choose another --out")


@pytest.mark.slow
def test_a_folder_with_another_runs_state_is_refused_and_left_alone(sound: Path) -> None:
    arguments = ("replay", "--calls", "calls.jsonl", "--out", "out")
    assert aftercall(sound, *arguments).returncode == 0
    before = left(sound / "out")
    other = aftercall(sound, *arguments, "--outcomes", "outcomes.jsonl")
    assert_one_sentence(other, 2, "out: must hold no other run's state", "over calls.jsonl", "choose an empty --out")
    # Same length, same times, other content: not the same run either.
    content = (sound / "calls.jsonl").read_bytes()
    (sound / "calls.jsonl").write_bytes(content.replace(b'"m-0"', b'"m-9"'))
    assert_one_sentence(aftercall(sound, *arguments), 2, "out: must hold no other run's state")
    assert left(sound / "out") == before


def test_a_folder_with_foreign_outputs_is_refused(sound: Path) -> None:
    (sound / "out").mkdir()
    (sound / "out" / "verdicts.jsonl").write_text("mine\n")
    assert_one_sentence(
        aftercall(sound, "replay", "--calls", "calls.jsonl", "--out", "out"), 2, "choose an empty --out"
    )
    assert (sound / "out" / "verdicts.jsonl").read_text() == "mine\n"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_fails_within_a_step_is_one_sentence_too(sound: Path, workers: str) -> None:
    """Bytewax would print the panic of its thread and a traceback."""
    arguments = (
        "replay",
        "--calls",
        "calls.jsonl",
        "--outcomes",
        "outcomes.jsonl",
        "--out",
        "out",
        "--workers",
        workers,
    )
    assert aftercall(sound, *arguments).returncode == 0
    verdicts = sound / "out" / "verdicts.jsonl"
    change_run(sound / "out", finished=False)
    verdicts.unlink()
    verdicts.mkdir()
    assert_one_sentence(aftercall(sound, *arguments), 1, "out/verdicts.jsonl: cannot be written", "Is a directory")
    verdicts.rmdir()
    assert aftercall(sound, *arguments).returncode == 0
    assert sums_that_fail(sound / "out") == []


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "parts"),
    [
        ('[join]\nhorizon = "soon"\n', ("bad.toml: join.horizon", "'soon'", "'30d'")),
        ('[join]\nhorizn = "30d"\n', ("bad.toml: join.horizn", "did you mean horizon?")),
        ("[join\n", ("bad.toml: ", "TOML")),
        ('[task.support]\nsilence = "success"\n', ("bad.toml: ", "task.support", "horizon")),
        ("[routing]\nfloor = 2.0\n", ("bad.toml: routing.floor", "2.0")),
    ],
)
def test_a_bad_value_in_the_file_of_settings_ends_in_one_sentence(
    sound: Path, toml: str, parts: tuple[str, ...]
) -> None:
    (sound / "bad.toml").write_text(toml)
    done = aftercall(sound, "replay", "--calls", "calls.jsonl", "--out", "out", "--config", "bad.toml")
    assert_one_sentence(done, 2, *parts)
    assert not (sound / "out").exists()


def test_a_bad_value_in_the_environment_ends_in_one_sentence(sound: Path) -> None:
    arguments = ("replay", "--calls", "calls.jsonl", "--out", "out")
    done = aftercall(sound, *arguments, AFTERCALL_JOIN__MAX_GROUPS="many")
    assert_one_sentence(done, 2, "AFTERCALL_JOIN__MAX_GROUPS", "'many'")
    assert_one_sentence(aftercall(sound, *arguments, AFTERCALL_JION__HORIZON="3d"), 2, "AFTERCALL_JION__HORIZON")
    assert not (sound / "out").exists()


def test_a_missing_file_of_settings_ends_in_one_sentence(tmp_path: Path) -> None:
    assert_one_sentence(aftercall(tmp_path, "check", "--config", "nowhere.toml"), 2, "nowhere.toml")
