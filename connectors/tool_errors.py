"""Says of what kind an error of a tool is, without its text: what a tool answered may hold what it was asked about."""

from __future__ import annotations

import re
from typing import Final

TEXT: Final = "[text]"
"""Stands for an error that does not begin with its kind."""
_KIND: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]{0,39}|[0-9]{3})(?=\s*(?:$|[:(]))", re.ASCII)


def error_kind(error: str) -> str:
    """The word that an error consists of, or that stands before a colon or parenthesis; `TEXT` where there is none.

    >>> error_kind("TimeoutError: no answer for jane"), error_kind("timeout"), error_kind("429")
    ('TimeoutError', 'timeout', '429')
    >>> error_kind("no user jane"), error_kind("jane@example.org"), error_kind("ConnectionError(host='db')")
    ('[text]', '[text]', 'ConnectionError')
    """
    found = _KIND.match(error)
    return found[1] if found else TEXT
