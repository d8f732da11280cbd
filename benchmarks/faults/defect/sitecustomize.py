"""Breaks one function of ours in every process whose PYTHONPATH has this folder first: an unforeseen defect.

The variable DEFECT has `MODULE:FUNCTION=ERROR@CALL`; the function raises the error at that call, and at all later ones.
In place of an error `SIGSTOP`: when that call has ended, the process stops until it is continued.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from itertools import count
from typing import Any


def install(defect: str) -> None:
    """Break a function."""
    place, _, what = defect.partition("=")
    error, _, first = what.partition("@")
    module, _, path = place.partition(":")
    owner: Any = import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    function, call = getattr(owner, name), int(first)
    is_stop = error == "SIGSTOP"
    setattr(owner, name, stopping(function, call) if is_stop else broken(function, getattr(builtins, error), call))


def broken(function: Callable[..., Any], error: type[Exception], first: int) -> Callable[..., Any]:
    """The function until its `first` call, which raises."""
    calls = count(1)

    @wraps(function)
    def raises(*arguments: Any, **named: Any) -> Any:
        if next(calls) >= first:
            raise error("a defect of ours")
        return function(*arguments, **named)

    return raises


def stopping(function: Callable[..., Any], at: int) -> Callable[..., Any]:
    """The function, behind whose call number `at` the process stands still."""
    calls = count(1)

    @wraps(function)
    def stops(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        if next(calls) == at:
            os.kill(os.getpid(), signal.SIGSTOP)
        return result

    return stops


if DEFECT := os.environ.get("DEFECT"):
    try:
        install(DEFECT)
    except BaseException as error:  # noqa: BLE001 - Python only prints what a sitecustomize raises
        sys.stderr.write(f"{DEFECT}: {error!r}\n")
        os._exit(99)
