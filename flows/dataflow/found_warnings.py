"""Finds what users should know in the tables that are published: alike names, and watched sources that say nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from connectors.batch import Warned
from flows.dataflow.alike_names import alike_names
from flows.dataflow.counted import CountedTables
from flows.dataflow.pipeline_warnings import MOST
from flows.settings.watched import unseen

UNSEEN_SOURCE: Final = "unseen_source"


def found_in_tables(
    tables: CountedTables, apart: Mapping[str, Collection[str]], watched: Sequence[str]
) -> list[Warned]:
    """Warnings of each kind; `apart` as for `alike_names`, `watched`: names of `[drift] sources`."""
    as_of = int(np.asarray(tables.current_rates["as_of"]).max(initial=0))
    seen = set(tables.of_sources[0]["source"])
    missing = unseen(watched, seen) if len(tables.rates["calls"]) else {}
    found = [Warned(UNSEEN_SOURCE, name, 1, as_of, as_of, text) for name, text in missing.items()]
    return [*alike_names(tables.current_rates, apart)[:MOST], *found]
