"""Closed minutes with checks of rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from models.messages import NO_TRIALS, NO_VALUES, Closed, Group
from models.side_messages import CheckedRule, CheckTrials

Row = tuple[int, Group, CheckedRule, bool]
"""Minute, group, rule, whether it was violated."""


def closed(rows: Sequence[Row], begin: int, end: int) -> Closed:
    """What `groups` sends when minutes < `end` have closed, after those < `begin`."""
    mine = [row for row in rows if begin <= row[0] < end]
    names, rules = sorted({row[1] for row in mine}), sorted({row[2] for row in mine})
    counts = Counter((minute, names.index(group), rules.index(rule), failed) for minute, group, rule, failed in mine)
    cells = sorted({key[:3] for key in counts})
    table = [(code, at, rule, counts[at, code, rule, False], counts[at, code, rule, True]) for at, code, rule in cells]
    columns = np.array(table, np.int32).reshape(-1, 5).T
    return Closed(end, list(names), NO_TRIALS, NO_VALUES, rules=tuple(rules), checks=CheckTrials(*columns))
