"""Defines what a rule of the user's own code takes."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from aftercall.contracts.params.base import Room, RuleParams

AT_THE_PRODUCER = "runs at the producer"
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def _dotted(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError('must be "module:function"')
    return text


class PythonRule(RuleParams):
    """A function of the user, which only the guard and `aftercall contract check` run."""

    type: Literal["python"]
    function: Annotated[str, AfterValidator(_dotted)]

    @property
    def room(self) -> Room:
        """The process of the producer."""
        return "code"
