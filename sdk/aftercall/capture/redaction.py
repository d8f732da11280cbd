"""Takes secrets and the user's own texts out of the text of an exception; runs on the sender thread."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_SECRETS: Final = re.compile(
    r"""
    \b(?:sk|pk|rk|xox[abprs]|gh[pousr]|AIza|AKIA|ya29|hf|gsk|whsec|glpat)[-_.]?[A-Za-z0-9_\-.*]{8,}  # keys by prefix
    | \beyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]+){0,2}                                 # JSON web tokens
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)                                                   # user:password in an address
    | \b(?:bearer|basic|token)\s+[A-Za-z0-9_\-.=+/*~]{8,}
    | (?:api[-_]?key|authorization|x-api-key|secret|password|access[-_]?token)["']?\s*[:=]\s*["']?[^\s"',;)}\]]{4,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SHORTEST: Final = 8
"""Shorter texts of the input are words that any error may hold."""
_BLANK: Final = "[redacted]"


def redacted(text: str, private: Iterable[str] = ()) -> str:
    """Replace what looks like a key or a token, and what the call was given.

    Args:
        text: of an error.
        private: texts of the call's input; those of less than 8 characters are left alone.

    >>> redacted("AuthenticationError: Incorrect API key provided: sk-proj-abcdefgh1234")
    'AuthenticationError: Incorrect API key provided: [redacted]'
    >>> redacted("ValueError: cannot answer 'where is my order?'", ["where is my order?"])
    "ValueError: cannot answer '[redacted]'"
    """
    for secret in sorted({one for one in private if len(one) >= _SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, _BLANK)
        escaped = repr(secret)[1:-1]
        if escaped != secret:
            text = text.replace(escaped, _BLANK)
    return _SECRETS.sub(_BLANK, text)
