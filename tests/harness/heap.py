"""A pytest plugin: collections of garbage pass over what importing and collecting the tests has made.

That stays to the end, and is looked at again and again otherwise: some million objects in each process.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage meanwhile, and leave out all that there is then; what tests make is collected as ever."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


# DuckDB prints what of it is still there at the end.
atexit.register(gc.unfreeze)
