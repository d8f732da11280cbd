"""Calls functions of the user that score answers, whichever of the usual arguments they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from aftercall.evals.answer import Answer
from aftercall.evals.case import EvalCase
from aftercall.evals.results import Scored

ScoreFunction = Callable[..., Any]
"""Gets parts of a case and its answer; returns a number from 0 to 1, a bool, one of these with a text, or an object
with `score` and perhaps `reason`. None: it has nothing to say on this case."""
_PARTS: Final[dict[str, Callable[[EvalCase, Answer], Any]]] = {
    "case": lambda case, _: case,
    "answer": lambda _, answer: answer,
    "input": lambda case, _: case.input,
    "question": lambda case, _: case.input,
    "prompt": lambda case, _: case.input,
    "output": lambda _, answer: answer.output,
    "response": lambda _, answer: answer.output,
    "actual": lambda _, answer: answer.output,
    "prediction": lambda _, answer: answer.output,
    "expected": lambda case, _: case.expected,
    "reference": lambda case, _: case.expected,
    "target": lambda case, _: case.expected,
    "tool_calls": lambda _, answer: answer.tool_calls,
    "metadata": lambda case, _: case.metadata,
}
"""What an argument of this name gets."""
_BY_PLACE: Final[dict[int, tuple[str, ...]]] = {
    1: ("output",),
    2: ("output", "expected"),
    3: ("input", "output", "expected"),
}
"""What the arguments get where a name is not known, by how many there are."""
TAKES: Final = "it may take `output`, `output, expected`, `input, output, expected`, or `case, answer`"


def arguments_of(function: ScoreFunction) -> tuple[str, ...]:
    """The parts that a function takes, in the order of its arguments.

    Raises:
        TypeError: it takes others; one clause.

    >>> arguments_of(lambda expected, output: 1.0), arguments_of(lambda x, y: 1.0)
    (('expected', 'output'), ('output', 'expected'))
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # written in C
        return _BY_PLACE[2]
    names = [one.name for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    names = [name for name, one in zip(names, parameters, strict=False) if one.kind is not one.VAR_POSITIONAL]
    optional = [one.name for one in parameters if one.default is not one.empty and one.name in _PARTS]
    if names and all(name in _PARTS for name in names):
        return tuple(names)
    if not names and optional:
        return tuple(optional)
    if len(names) not in _BY_PLACE:
        raise TypeError(f"takes {len(names)} arguments that are not known here ({TAKES})")
    return _BY_PLACE[len(names)]


class FunctionScore:
    """A function of the user as a check: whatever it raises or returns becomes a `Scored`."""

    def __init__(self, function: ScoreFunction, name: str) -> None:
        """Look at its arguments.

        Raises:
            TypeError: it takes others than those of `TAKES`.
        """
        self._function, self._parts, self.name = function, arguments_of(function), name

    def score(self, case: EvalCase, answer: Answer) -> Scored:
        """What it finds; an exception is an error, of which only the class is named: its text may quote the answer."""
        try:
            returned = self._function(*(_PARTS[part](case, answer) for part in self._parts))
            if inspect.isawaitable(returned):
                returned = awaited(returned)
        except KeyboardInterrupt:
            raise
        except BaseException as wrong:  # noqa: BLE001  # the user's; `SystemExit` too
            return Scored(self.name, None, f"the function raised {type(wrong).__name__}", error=True)
        return _scored(self.name, returned)


def awaited(waiting: Any) -> Any:
    """What a coroutine gives, on an event loop of its own; also where one runs on this thread."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def wait() -> Any:
        return await waiting

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, wait()).result()


def _scored(name: str, returned: Any) -> Scored:
    details: Any = ""
    if isinstance(returned, tuple) and len(returned) == 2:
        returned, details = returned
    elif isinstance(returned, Mapping):
        returned, details = returned.get("score"), returned.get("reason", "")
    if returned is None:
        return Scored(name, None, str(details or "the function returned None"))
    if not isinstance(returned, bool | int | float) or not 0 <= returned <= 1:
        return Scored(name, None, "the function returned no number from 0 to 1, nor True or False", error=True)
    return Scored(name, float(returned), details if isinstance(details, str) else "")
