"""Runs rules of the user's own code, for those that may: the guard, and `aftercall contract check`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from aftercall.contracts.contract import ContractError
from aftercall.contracts.results import Finding, in_error, not_applicable

Function = Callable[[Mapping[str, Any]], object]
"""Gets a call as the wire has it, with its texts where they are there."""
RUN_S: Final = 1.0
"""So long a run may take."""
TOO_LONG: Final = f"the function took more than {RUN_S:g} s"
_NONSENSE: Final = "the function returned no True, False, None, nor one of these with a text"


def function_of(path: str, place: str) -> Function:
    """Import a function.

    Args:
        path: "module:function".
        place: file and rule, for messages.

    Raises:
        ContractError: there is no such function, or its module raises.
    """
    module, _, name = path.partition(":")
    try:
        function = getattr(import_module(module), name)
    except Exception as wrong:  # noqa: BLE001  # the user's module may raise anything
        raise ContractError(
            f"{place}, function: must be a function that can be imported; {path} raises {type(wrong).__name__}: {wrong}"
            " (correct it, or put its folder on PYTHONPATH)"
        ) from None
    if not callable(function):
        raise ContractError(f"{place}, function: must be a function; {path} is a {type(function).__name__}")
    return function  # type: ignore[no-any-return]  # anything that can be called


def run(function: Function, call: Mapping[str, Any]) -> Finding:
    """What a function finds about a call: True (kept), False, None (not applicable), or one of these with a text.

    An exception is an error of which only the class is named: its text may quote the call.

    >>> run(lambda call: call["tokens_out"] < 5, {"tokens_out": 7}).result
    'fail'
    >>> run(lambda call: (None, "no order in it"), {})
    Finding(result='not_applicable', details='no order in it', actual=None, threshold=None)
    >>> run(lambda call: call["order"], {}).details, run(lambda call: 1, {}).result
    ('the function raised KeyError', 'error')
    """
    try:
        return _finding(function(call))
    except KeyboardInterrupt:
        raise
    except BaseException as wrong:  # noqa: BLE001  # the user's; `SystemExit` too
        return in_error(f"the function raised {type(wrong).__name__}")


def _finding(returned: object) -> Finding:
    verdict, details = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, "")
    if type(details) is not str or not (verdict is None or type(verdict) is bool):
        return in_error(_NONSENSE)
    if verdict is None:
        return not_applicable(details or "the function returned None")
    return Finding("pass" if verdict else "fail", details)
