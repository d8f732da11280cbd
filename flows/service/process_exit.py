"""Ends a process of a service without the exit of the interpreter, which threads of libraries may crash.

A client of librdkafka hands the answers to its requests to Python on a thread of its own. An answer that comes while
the interpreter is gone and the process still ends its libraries makes that thread read freed memory (SIGSEGV, exit code
-11); so may a consumer that is being closed, and what Bytewax leaves behind. Waiting for them is no way out: while the
broker is away a request takes ten seconds.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aftercall.errors import ExitCode, user_error


@contextmanager
def exits_at_once() -> Iterator[None]:
    """Let the process end as soon as Python's own threads have, and all is printed, once the block has ended.

    Only lines may be printed after the block. The exit code is that of the block's end: 0, that of an error which a
    user can cause, or 1.
    """
    code: int = ExitCode.DONE
    try:
        yield
    except BaseException as error:
        code = _exit_code(error)
        raise
    finally:
        atexit.register(_end, code)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    caused_by_user = user_error(error)
    return ExitCode.FAILED if caused_by_user is None else caused_by_user.exit_code


def _end(code: int) -> None:
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(code)
