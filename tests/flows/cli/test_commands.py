"""All commands, found in the command line itself: their help, wrong usage, and what the reference promises."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from aftercall.errors import ExitCode
from flows.cli.answers import EVERY_COMMAND
from flows.cli.main import LISTS, app, main

SECTION = re.split(
    r"^## ", (Path(__file__).parents[3] / "docs" / "reference.md").read_text(encoding="utf-8"), flags=re.MULTILINE
)[5]
HOUSE_WORDS = ("told", "whoever", "whom", "nobody", "somebody", "anew", "of its own", "afresh")


class Answer(NamedTuple):
    code: int
    stdout: str
    stderr: str


Run = Callable[..., Answer]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command in an empty folder, on a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def of(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["aftercall", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Answer(0 if code is None else int(code), *capsys.readouterr())

    return of


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


EVERY = dict(walk(typer.main.get_command(app)))
COMMANDS = {path: command for path, command in EVERY.items() if not hasattr(command, "commands")}
PATHS = [
    (path, parameter.opts[0])
    for path, command in COMMANDS.items()
    for parameter in command.params
    if getattr(parameter, "metavar", None) in {"DIR", "FILE", "FILE...", "PATH"}
]
NUMBERS = [
    (path, parameter.opts[0])
    for path, command in COMMANDS.items()
    for parameter in command.params
    if getattr(parameter, "min", None) is not None
]


def shown(value: Any) -> str | None:
    return " ".join(("aftercall", *value)) if isinstance(value, tuple) else None


def required(path: tuple[str, ...]) -> list[str]:
    """Something for each option that must be given."""
    options = [parameter for parameter in COMMANDS[path].params if parameter.required]
    return [word for option in options for word in ([option.opts[0], "x"] if option.opts[0][0] == "-" else ["x"])]


def assert_one_sentence(answer: Answer, *parts: str) -> None:
    assert (answer.code, answer.stdout) == (ExitCode.USAGE, ""), answer
    assert re.fullmatch(r"aftercall: [^\n]+ \([^()\n]+\)\n", answer.stderr), answer.stderr
    for part in parts:
        assert part in answer.stderr


def test_commands_within_commands_are_found_too() -> None:
    assert ("topics", "create") in COMMANDS
    assert ("topics",) in EVERY
    assert len(NUMBERS) > 5
    assert {option for path, option in PATHS if path[:1] in {("run",), ("replay",)}} == {
        "--config", "--out", "--calls", "--outcomes", "--marks"
    }  # fmt: skip


# --- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVERY, ids=shown)
def test_every_help_fits_80_columns_and_begins_with_a_sentence(path: tuple[str, ...], run: Run) -> None:
    answer = run(*path, "--help")
    assert (answer.code, answer.stderr) == (ExitCode.DONE, "")
    assert max(map(len, answer.stdout.splitlines())) <= 80
    usage, description, *_ = answer.stdout.split("\n\n")
    assert usage.startswith(f"Usage: {shown(path)} [OPTIONS]")
    assert re.fullmatch(r"  [A-Z][a-z]+ [^.]+[^ ]\.", description.partition(". ")[0].rstrip(".") + "."), description
    assert not [word for word in HOUSE_WORDS if re.search(rf"\b{word}\b", answer.stdout)]


@pytest.mark.parametrize("path", EVERY, ids=shown)
def test_every_option_of_every_command_is_explained(path: tuple[str, ...]) -> None:
    for parameter in EVERY[path].params:
        hidden = getattr(parameter, "hidden", False)
        assert hidden or re.fullmatch(r"[A-Za-z].*\.", parameter.help), (parameter.opts, parameter.help)


def test_help_lists_what_exit_codes_mean_in_the_words_of_the_reference(run: Run) -> None:
    help_text = " ".join(run("--help").stdout.split())
    for code in ExitCode:
        assert f"{code} {code.meaning}" in help_text


# --- wrong usage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVERY, ids=shown)
def test_an_unknown_option_ends_every_command_with_2_and_one_sentence(path: tuple[str, ...], run: Run) -> None:
    assert_one_sentence(run(*path, "--no-such-option"), "no such option: --no-such-option", f"see {shown(path)} --help")


@pytest.mark.parametrize("path", [path for path in COMMANDS if required(path)], ids=shown)
def test_a_missing_argument_ends_every_command_with_2_and_one_sentence(path: tuple[str, ...], run: Run) -> None:
    assert_one_sentence(run(*path), "missing", f"see {shown(path)} --help")


@pytest.mark.parametrize(("path", "option"), PATHS, ids=lambda value: shown(value) or value)
def test_an_empty_path_is_refused_and_is_not_the_current_folder(
    path: tuple[str, ...], option: str, run: Run, tmp_path: Path
) -> None:
    """As where a variable of a script is not set."""
    for given in ([option, ""], [f"{option}="], [option, "x", ""] if option in LISTS else [option, ""]):
        others = [word for word in required(path) if word != option or option in LISTS]
        assert_one_sentence(run(*path, *others, *given), f"{option}: must be a path; got an empty one")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("path", "option"), NUMBERS, ids=lambda value: shown(value) or value)
@pytest.mark.parametrize("value", ["many", "-1"])
def test_a_wrong_number_is_named_with_its_option_the_rule_and_the_remedy(
    path: tuple[str, ...], option: str, value: str, run: Run
) -> None:
    answer = run(*path, *required(path), option, value)
    assert_one_sentence(answer, f"{option}: must be ", f"; got '{value}'", f"(see {shown(path)} --help)")


@pytest.mark.parametrize(
    "path",
    [path for path, command in COMMANDS.items() if any(one.name == "config" for one in command.params)],
    ids=shown,
)
def test_settings_that_cannot_be_read_end_every_command_with_2_and_one_sentence(
    path: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    more = {"replay": ["--calls", "x"], "erase": ["--call", "x"]}.get(path[0], [])
    assert_one_sentence(run(*path, *required(path), *more, "--config", "nowhere.toml"), "nowhere.toml: ")
    assert list(tmp_path.iterdir()) == []


def test_names_with_line_ends_or_control_codes_leave_an_error_one_line(run: Run) -> None:
    assert_one_sentence(run("check", "--config", "no\nsuch\x1b[31m"), r"no\nsuch\x1b[31m: ")


# --- the reference ---------------------------------------------------------------------------------------------------


def documented() -> dict[tuple[str, ...], set[ExitCode]]:
    """What the table of exit codes promises, by command."""
    (head,) = re.findall(r"^\| command((?: \| \d)+) \|$", SECTION, re.MULTILINE)
    codes = [ExitCode(int(code)) for code in head.split(" | ") if code]
    cell = r" \| ([^|]+)"
    rows = re.findall(rf"^\| `([a-z -]+)`{cell * len(codes)} \|$", SECTION, re.MULTILINE)
    return {
        tuple(name.split()): {code for code, cell in zip(codes, cells, strict=True) if cell != "-"}
        for name, *cells in rows
    }


def test_the_reference_lists_every_command_and_no_other() -> None:
    listed = [
        tuple(name.split()) for name in re.findall(r"^\| `aftercall ((?:[a-z][a-z-]* ?)+)", SECTION, re.MULTILINE)
    ]
    assert sorted(listed) == sorted(COMMANDS)


def test_the_reference_has_every_exit_code_with_its_meaning() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|$", SECTION, re.MULTILINE)
    assert rows == [(str(int(code)), code.meaning) for code in ExitCode]


def test_the_reference_has_the_exit_codes_of_every_command() -> None:
    assert sorted(documented()) == sorted(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS, ids=shown)
def test_exit_codes_3_and_4_stand_in_the_reference_and_in_the_help_or_in_neither(path: tuple[str, ...]) -> None:
    special = {ExitCode(int(code)) for code in re.findall(r"Exit code (\d):", COMMANDS[path].epilog or "")}
    assert documented()[path] | {ExitCode.INTERRUPTED} == {*EVERY_COMMAND, *special}
