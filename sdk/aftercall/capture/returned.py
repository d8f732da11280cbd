"""Ends a call with what its function returned: at once, or where that is a stream or a coroutine, when it ends."""

from __future__ import annotations

from types import CoroutineType
from typing import Any, Final

from aftercall.capture.awaiting import CoroutineProxy
from aftercall.capture.draft import Draft
from aftercall.capture.quiet import refuse
from aftercall.capture.stream_reading import StreamReading
from aftercall.capture.streams import stream_of

_PLAIN: Final = frozenset({str, bytes, int, float, bool, type(None), list, tuple, dict, set, frozenset})
_BODY: Final = "body_iterator"


def returned(draft: Draft, result: Any) -> Any:
    """End the call, or begin to follow what was returned.

    Returns:
        The result itself; a stand-in for a stream or a coroutine.
    """
    try:
        return _followed(draft, result)
    except Exception as error:  # noqa: BLE001  # nothing of ours may reach the agent
        refuse(draft.capturing, error)
        return result


def _followed(draft: Draft, result: Any) -> Any:
    kind = type(result)
    if kind not in _PLAIN:
        if kind is CoroutineType:
            return CoroutineProxy(result, draft, returned)
        if _is_stream(kind):
            return stream_of(result, StreamReading(draft))
        if _follows_body(draft, result) or _follows_future(draft, result):
            return result
    draft.observe(result)
    draft.end()
    return result


def _is_stream(kind: type[Any]) -> bool:
    """Whether objects of this type are read step by step; a list or a model of pydantic is no iterator."""
    if not (hasattr(kind, "__next__") or hasattr(kind, "__anext__")):
        return False
    is_file = hasattr(kind, "fileno") or hasattr(kind, "readinto")
    return not is_file and kind.__module__ != "unittest.mock"


def _follows_body(draft: Draft, result: Any) -> bool:
    """Follow the body of a `StreamingResponse` of Starlette: the response is the caller's own object."""
    try:
        own = object.__getattribute__(result, "__dict__")
    except AttributeError:
        return False
    body = own.get(_BODY)
    if body is None or not (hasattr(type(body), "__aiter__") or hasattr(type(body), "__iter__")):
        return False
    own[_BODY] = stream_of(body, StreamReading(draft))
    return True


def _follows_future(draft: Draft, result: Any) -> bool:
    """Follow a future or task, which calls back at its end."""
    add = getattr(type(result), "add_done_callback", None)
    if add is None:
        return False

    def done(future: Any) -> None:
        if future.cancelled():
            draft.leave()
            return
        # `exception()` would count as its retrieval, and asyncio would not report what the program never looks at.
        error = future._exception if hasattr(future, "_exception") else future.exception()  # noqa: SLF001
        if error is not None:
            draft.fail(error)
        else:
            draft.observe(future.result())
            draft.end()

    add(result, done)
    return True
