"""Turns results and errors into JSON, a sentence on standard error, and an exit code."""

from __future__ import annotations

import errno
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from typer import BadParameter
from typer.exceptions import TyperException

from aftercall.errors import ExitCode, causes, user_error
from aftercall.printable import printable, printable_json
from aftercall.times import format_time, to_us

if TYPE_CHECKING:
    from rich.console import Console

EVERY_COMMAND: Final = (ExitCode.DONE, ExitCode.FAILED, ExitCode.USAGE, ExitCode.INTERRUPTED)
"""The exit codes of every command; a command with further codes lists them at the end of its help."""


def exits(*, no: str = "", undecided: str = "") -> str:
    """The end of a command's help: the cases of exit code 3 (`no`) and 4 (`undecided`)."""
    cases = {ExitCode.NO: no, ExitCode.UNDECIDED: undecided}
    return " ".join(f"Exit code {code}: {case}." for code, case in cases.items() if case)


def all_exits() -> str:
    """The end of the help of `aftercall`: the meaning of each exit code."""
    return f"Exit codes: {'; '.join(f'{code} {code.meaning}' for code in ExitCode)}."


def answer(error: BaseException) -> tuple[str, ExitCode] | None:
    """The sentence and the exit code for an error that a user can cause; None for a defect of aftercall."""
    if isinstance(error, TyperException):
        command = getattr(getattr(error, "ctx", None), "command_path", "aftercall")
        return f"{_of_typer(error)} (see {command} --help)", ExitCode.USAGE
    caused_by_user = user_error(error)
    if caused_by_user is not None:
        return str(caused_by_user), caused_by_user.exit_code
    system = next((cause for cause in causes(error) if isinstance(cause, OSError) and cause.strerror), None)
    return None if system is None else (_of_system(system), ExitCode.FAILED)


def print_sentence(sentence: str) -> None:
    """Print one line on standard error; characters that are not printable are escaped."""
    sys.stderr.write(f"aftercall: {printable(sentence)}\n")


def print_json(document: Any) -> None:
    """Print one JSON document on standard output; times as RFC 3339."""
    sys.stdout.write(printable_json(json.dumps(document, indent=2, ensure_ascii=False, default=_plain)) + "\n")


def console(*, stderr: bool = False) -> Console:
    """Where results are printed for people."""
    from flows.reports.terminal import SafeConsole

    return SafeConsole(stderr=stderr)


def _of_typer(error: TyperException) -> str:
    """Place, rule and value, where typer knows them."""
    if isinstance(error, BadParameter) and error.param is not None and isinstance(error.__cause__, ValueError):
        # Pydantic's error holds the value.
        refused: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
        if refused:
            rule = refused[0]["msg"].replace("Input should be", "must be").partition(",")[0]
            return f"{error.param.opts[0]}: {rule}; got {refused[0]['input']!r}"
    what = " ".join(error.format_message().split()).rstrip(".")
    return f"{what[:1].lower()}{what[1:]}"


def _of_system(error: OSError) -> str:
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return f"system: must be able to open more files; {error.strerror} (raise the limit, as with `ulimit -n 1024`)"
    if error.filename is None:
        return f"system: files and streams must be usable; {error.strerror} (check the disk and where the output goes)"
    return f"{error.filename}: must be usable; {error.strerror} (check the path, its rights and the space on its disk)"


def _plain(value: Any) -> str:
    return format_time(to_us(value)) if isinstance(value, datetime) else str(value)
