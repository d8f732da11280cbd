"""Loads RE2, whose time is linear in the text whatever the pattern, and words what it refuses."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from aftercall.errors import UsageError
from aftercall.printable import printable

MAX_PATTERN_BYTES: Final = 4 * 1024 * 1024
"""Memory of one compiled pattern."""
_SHOWN: Final = 60
_BACK_REFERENCE: Final = re.compile(r"\\[1-9gk]|\(\?P=")
_LOOK_AROUND: Final = re.compile(r"\(\?<?[=!]")


def re2() -> Any:
    """The module.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import re2 as module  # type: ignore[import-untyped, unused-ignore]  # it has no types
    except ImportError:
        raise UsageError(
            "contracts that look into texts need google-re2, which is not installed"
            " (pip install 'aftercall[contracts]')"
        ) from None
    return module


def options(max_bytes: int = MAX_PATTERN_BYTES) -> Any:
    """Options of RE2 that keep it from printing, and from a second pass over a match for its groups."""
    made = re2().Options()
    made.log_errors = False
    made.never_capture = True
    made.max_mem = max_bytes
    return made


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """A pattern for searches in bytes of UTF-8.

    Raises:
        ValueError: RE2 refuses it; one clause.
    """
    module = re2()
    try:
        # As bytes: of a text, RE2's wrapper would count the characters before each match.
        return module.compile(pattern.encode("utf-8", "replace"), options())
    except module.error as wrong:
        raise ValueError(_words(pattern, wrong)) from None


def quoted(pattern: str) -> str:
    """A phrase or pattern as messages show it, in quotes."""
    return f"'{printable(pattern if len(pattern) <= _SHOWN else pattern[:_SHOWN] + '...')}'"


def _words(pattern: str, wrong: Exception) -> str:
    if _LOOK_AROUND.search(pattern):
        form = "has a look-around"
    elif _BACK_REFERENCE.search(pattern):
        form = "has a back-reference"
    else:
        said = wrong.args[0] if wrong.args else b""
        form = f"is no pattern of RE2: {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"
    return f"{quoted(pattern)} {form} (rewrite it in the syntax of RE2, whose time is linear in the text)"
