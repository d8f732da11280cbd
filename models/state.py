"""State that outlives a process: a pickled dict of plain values and arrays, with a version."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from importlib.metadata import version as release
from typing import Any

from aftercall.errors import NEW_OUT, StateError

__all__ = ["StateError", "check_river", "check_version", "unpack"]


def unpack(state: bytes, step: str, version: int) -> dict[str, Any]:
    """Read the stored state of a step.

    Raises:
        StateError: another version wrote it.
    """
    kept: dict[str, Any] = pickle.loads(state)
    check_version(kept, step, version)
    return kept


def check_version(kept: Mapping[str, Any], step: str, version: int) -> None:
    """Make sure that this version wrote the state of a step.

    Raises:
        StateError: another one did.
    """
    if kept.get("version") != version:
        raise StateError.of_version(f"step {step!r}", version, kept.get("version"))


def check_river(kept: Mapping[str, Any], step: str) -> None:
    """Make sure that the pickled detectors in a part of a step's state are of the river that is installed.

    Args:
        kept: the part; `river` is the version of river that wrote its detectors, None where it has none.
        step: the step's name.

    Raises:
        StateError: another version of river wrote them, so they cannot be trusted.
    """
    if kept["river"] not in {None, release("river")}:
        raise StateError(
            f"step {step!r}: the stored state holds detectors of river {kept['river']}; river {release('river')}, "
            f"which is installed, must not read them (install river=={kept['river']}, or {NEW_OUT})"
        )
