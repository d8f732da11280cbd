"""How many files a process may open: too few of them fail at another place each time, in the middle of the work."""

from __future__ import annotations

import resource
from typing import Final

from flows.runtime.run_folder import RunError

LEAST: Final = 128
"""Some three times what a service on a small cluster has open."""
_WANTED: Final = 1024
"""What systems give by default."""


def ensure_open_files() -> None:
    """Raise the limit of this process and of those that it starts where it is small, as far as the system lets it.

    Raises:
        RunError: fewer than `LEAST` files may be open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if most < LEAST:
        raise RunError(
            f"system: {LEAST} files or more must be allowed to be open; {most} are (raise the limit, as with "
            f"`ulimit -n {_WANTED}`)"
        )
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
