"""Defines the errors that a user can cause, and the exit codes of commands.

Every room derives its errors from these, so that the command line can handle classes that it does not import.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final, Self


class ExitCode(IntEnum):
    """How a command ends; docs/reference.md, section 5, has which command ends how."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO = 3
    UNDECIDED = 4
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """The meaning, as docs/reference.md words it."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "the input or the system failed",
    ExitCode.USAGE: "wrong usage or configuration",
    ExitCode.NO: "it works, and the answer is no",
    ExitCode.UNDECIDED: "not enough evidence to say",
    ExitCode.INTERRUPTED: "interrupted with ctrl-C",
}

NEW_OUT: Final = "give the same command a new --out, which reads again what the files or topics still hold"
"""The remedy where stored state cannot be used: as the outputs are new, records read again are not counted twice."""


class UserError(Exception):
    """An error that a user can cause and fix; its text is one sentence: the place, the rule, the value, the remedy.

    A subclass sets `exit_code`; a single error may override it. Pickling keeps the text and the exit code, whatever
    arguments the subclass takes.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, sentence: str, *, exit_code: ExitCode | None = None) -> None:
        super().__init__(sentence)
        if exit_code is not None:
            self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild without `__init__`, to which `BaseException` would pass the sentence alone."""
        return _made_again, (type(self), self.args, self.__dict__)


class UsageError(UserError):
    """The command line or a setting is wrong: the same command can never succeed."""

    exit_code = ExitCode.USAGE


class StateError(UserError, ValueError):
    """This program cannot read the state that a run has stored."""

    @classmethod
    def of_version(cls, place: str, reads: int, found: object) -> Self:
        """The error for state that another version wrote.

        Args:
            place: what the state belongs to, such as `step 'join'`, or the file.
            reads: the version that this program reads.
            found: the version of the stored state.
        """
        return cls(
            f"{place}: stored state must have version {reads}; got {found!r} (run the aftercall that wrote it, or "
            f"{NEW_OUT})"
        )


def _made_again(kind: type[UserError], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> UserError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised `from`, outermost first.

    An error that was only being handled is left out: a defect in its handler must not count as that error. Each error
    comes once: a chain that an engine has made may be a ring.
    """
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def user_error(error: BaseException) -> UserError | None:
    """The user's error that `error` is, or was raised from; None for a defect of ours."""
    return next((cause for cause in causes(error) if isinstance(cause, UserError)), None)
