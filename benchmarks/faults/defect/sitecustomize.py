"""Breaks one function of ours in every process whose PYTHONPATH has this folder first: an unforeseen defect.

The variable DEFECT has `MODULE:FUNCTION=ERROR@CALL`; the function raises the error at that call, and at all later ones.
"""

from __future__ import annotations

import builtins
import os
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
    setattr(owner, name, broken(getattr(owner, name), getattr(builtins, error), int(first)))


def broken(function: Callable[..., Any], error: type[Exception], first: int) -> Callable[..., Any]:
    """The function until its `first` call, which raises."""
    calls = count(1)

    @wraps(function)
    def raises(*arguments: Any, **named: Any) -> Any:
        if next(calls) >= first:
            raise error("a defect of ours")
        return function(*arguments, **named)

    return raises


if DEFECT := os.environ.get("DEFECT"):
    try:
        install(DEFECT)
    except BaseException as error:  # noqa: BLE001 - Python only prints what a sitecustomize raises
        sys.stderr.write(f"{DEFECT}: {error!r}\n")
        os._exit(99)
