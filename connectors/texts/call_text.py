"""Defines the texts of a call, the columns of the files that keep them, and the error where they cannot be kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from aftercall.errors import UserError

KEY_COLUMNS: Final = ("call_id", "occurred_at")
TEXT_COLUMNS: Final = ("input", "output", "tools")
COLUMNS: Final = (*KEY_COLUMNS, *TEXT_COLUMNS)
"""What users see."""
COMPLETES: Final = "completes"
"""A column of the files: whether the row completes another one of its call, which may have no texts."""


class CallText(NamedTuple):
    """The texts of one call, redacted and cut; of a call that is reported again, those of one record.

    No two records of a call have the same one, as a field of a call is filled once.

    Attributes:
        call_id: of the call.
        at: its time, us, that of its first record.
        input: absent: None.
        output: absent: None.
        tools: a JSON list with an object for each tool call, or None.
        completes: whether they are those of a later record.
    """

    call_id: str
    at: int
    input: str | None
    output: str | None
    tools: str | None
    completes: bool = False

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return sum(len(text) for text in (self.call_id, self.input, self.output, self.tools) if text is not None)


class TextError(UserError):
    """Texts cannot be kept."""


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Raise errors of the disk within the block as errors about this folder.

    Raises:
        TextError: the disk refuses, or a file of the folder is damaged.
    """
    try:
        yield
    except OSError as wrong:
        raise _refused(folder, wrong.strerror or str(wrong)) from wrong
    except Exception as wrong:
        # polars is loaded only where texts are kept, so its errors are known by the package they are of.
        if not type(wrong).__module__.startswith("polars"):
            raise
        raise _refused(folder, str(wrong).partition("\n")[0]) from wrong


def _refused(folder: Path, why: str) -> TextError:
    return TextError(
        f"{folder}: texts of calls must be readable and writable; {why} (check the disk, then give the same command "
        "again: the run resumes at its last epoch)"
    )
