"""Decides which exceptions are failures of a call, and words them."""

from __future__ import annotations

from typing import Final

MOST_ERROR: Final = 8192
"""Characters of an `error`; the wire takes no more."""
_ENDS: Final = (StopIteration, StopAsyncIteration)
_LEFT: Final = frozenset({"CancelledError", "ClientDisconnect"})
"""Exceptions by which a framework says that the other side has gone: `concurrent.futures`, Starlette."""


def is_failure(error: BaseException) -> bool:
    """Whether the call itself failed: not where it was cancelled, left early or ended as iterators end.

    `asyncio.CancelledError`, `trio.Cancelled`, `GeneratorExit`, `KeyboardInterrupt` and `SystemExit` are no
    `Exception`s, so neither library is needed to know them.

    >>> is_failure(ValueError("no")), is_failure(KeyboardInterrupt())
    (True, False)
    """
    return isinstance(error, Exception) and not isinstance(error, _ENDS) and type(error).__name__ not in _LEFT


def failure_text(error: BaseException) -> str:
    """Word an exception as `ClassName: text`. It holds no reference to it: a traceback keeps whole stacks alive."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # `__str__` of foreign exceptions may raise anything
        return name
    return f"{name}: {text}"[:MOST_ERROR] if text else name
