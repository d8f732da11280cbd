"""Matches names against globs: `*`, `?`, `[abc]` and `[!abc]`, as in file names; case matters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import lru_cache
from typing import Final

MAX_GLOB: Final = 256


def refuse_bad_glob(glob: str) -> str:
    """The glob itself.

    Raises:
        ValueError: it is empty, longer than 256 characters, or has a `[` without its `]`.

    >>> refuse_bad_glob("refund_[a-z]*")
    'refund_[a-z]*'
    """
    if not glob.strip() or len(glob) > MAX_GLOB:
        raise ValueError(f"must be a glob of 1 to {MAX_GLOB} characters; got {glob[:40]!r}")
    if re.sub(r"\[!?\]?[^\]]*\]", "", glob).count("["):
        raise ValueError(f"must be a glob in which each [ has its ]; got {glob!r}")
    return glob


class Globs:
    """Whether a name matches one of several globs; answers are kept, as names are few.

    >>> globs = Globs(["refund", "mail_*"])
    >>> globs.match("mail_out"), globs.match("Refund")
    (True, False)
    """

    def __init__(self, globs: Iterable[str]) -> None:
        self.globs = tuple(globs)
        pattern = re.compile("|".join(map(translate, self.globs)) or r"(?!)")
        self.match: Callable[[str], bool] = lru_cache(4096)(lambda name: pattern.match(name) is not None)


def intersect(left: str, right: str) -> bool:
    """Whether one name may match both globs; a bracket counts as any character, so at worst True is said too often.

    >>> intersect("refund_*", "*_eu"), intersect("refund", "triage*")
    (True, False)
    """
    first, second = (re.sub(r"\[!?\]?[^\]]*\]", "?", glob) for glob in (left, right))
    # reachable[j]: what was read of `first` and second[:j] have a name in common.
    reachable = [True]
    for char in second:
        reachable.append(reachable[-1] and char == "*")
    for char in first:
        following = [reachable[0] and char == "*"]
        for at, other in enumerate(second):
            star = "*" in {char, other}
            same = reachable[at] and (char == other or "?" in {char, other})
            following.append((reachable[at + 1] or following[at]) if star else same)
        reachable = following
    return reachable[-1]
