"""One family of errors that a user can cause: each ends with one sentence and its exit code, wherever it was raised."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from aftercall.errors import ExitCode, StateError, UsageError, UserError, user_error

ROOT = Path(__file__).parents[2]
ROOMS = ("sdk/aftercall", "models", "connectors", "flows")
AN_ERROR = re.compile(r"^class \w+\(.*(Error|Exception|Failure)\b.*\):", re.MULTILINE)


def modules() -> Iterator[str]:
    """Those that define an error; importing all others would take ten seconds."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            if AN_ERROR.search(file.read_text(encoding="utf-8")):
                yield ".".join(file.relative_to(ROOT).with_suffix("").parts).removeprefix("sdk.")


def error_classes() -> list[type[BaseException]]:
    """All that the rooms define."""
    found = {
        value
        for name in modules()
        for value in vars(import_module(name)).values()
        if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == name
    }
    return sorted(found, key=lambda error: error.__name__)


ERRORS = error_classes()


def test_the_rooms_define_errors() -> None:
    assert {"InputError", "KafkaFailure", "RunError", "SettingsError", "StateError"} <= {e.__name__ for e in ERRORS}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_of_every_room_belongs_to_the_family(error: type[BaseException]) -> None:
    assert issubclass(error, UserError)
    assert isinstance(error.exit_code, ExitCode)
    assert error.exit_code not in {ExitCode.DONE, ExitCode.INTERRUPTED}


class PositionError(UserError):
    """Takes other arguments than its sentence."""

    exit_code = ExitCode.NO

    def __init__(self, file: str, line: int) -> None:
        super().__init__(f"{file}: must be read; line {line} is not (mend it)")
        self.line = line


@pytest.mark.parametrize(
    "error",
    [
        *(kind("x: must be y; got z (do w)") for kind in ERRORS if issubclass(kind, UserError)),
        PositionError("calls.jsonl", 3),
        UserError("x: must be y; got z (do w)", exit_code=ExitCode.UNDECIDED),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_is_pickled_keeps_its_sentence_and_its_exit_code(error: UserError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.exit_code) == (str(error), error.exit_code)
    assert vars(copy) == vars(error)


def test_a_user_error_is_found_below_the_errors_that_were_raised_from_it() -> None:
    cause = UsageError("x: must be y; got z (do w)")
    outer = RuntimeError("a step failed")
    outer.__cause__ = ValueError("its mapper failed")
    outer.__cause__.__cause__ = cause
    assert user_error(outer) is cause


def test_a_defect_in_a_handler_does_not_pass_for_the_error_that_it_handles() -> None:
    defect = KeyError("missing")
    defect.__context__ = UsageError("x: must be y; got z (do w)")
    assert user_error(defect) is None


def test_no_remedy_names_an_option_that_does_not_exist() -> None:
    """State lies in `state/` of `--out`: no option names a recovery directory, or starts without one."""
    impossible = re.compile(r"recovery (directory|folder)|without recovery|start anew|empty recovery")
    sources = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]
    assert len(sources) > 100
    assert not [file for file in sources if impossible.search(file.read_text(encoding="utf-8"))]


def test_state_of_another_version_is_refused_with_something_a_user_can_do() -> None:
    error = StateError.of_version("step 'join'", 2, 1)
    assert str(error) == (
        "step 'join': stored state must have version 2; got 1 (run the aftercall that wrote it, or give the same "
        "command a new --out, which reads again what the files or topics still hold)"
    )
    assert error.exit_code is ExitCode.FAILED
