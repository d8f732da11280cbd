"""Failures by error: slots go by first come and are never read under another's name; else plain sums."""

from __future__ import annotations

from itertools import groupby, pairwise
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.vocabulary import OTHER
from models.alerts.leaf_errors import LeafErrors
from models.alerts.leaf_trials import LeafTrials
from models.columns.minute_rows import BASELINE_HOURS, BY_MINUTE_HOURS
from models.messages import NO_VALUES, Closed, ErrorTrials, Group, TrialDeltas
from simulated.trials import DAY, START

NAMES: list[Group] = [("t", "a", "1"), ("t", "b", "1"), ("u", "a", "1")]
END = 40 * DAY
SLOTS = 2
Row = tuple[int, int, str]
"""Minute after START, index in NAMES, error: one failure."""


def closed(rows: list[Row], begin: int, end: int) -> Closed:
    """What `groups` sends; each failure is a trial, and there are no others."""
    mine = sorted(row for row in rows if begin <= row[0] < end)
    counted = [(minute, name, text, len(list(same))) for (minute, name, text), same in groupby(mine)]
    texts = sorted({text for _, _, text, _ in counted})
    cells = [(START + m, g, texts.index(text), n) for m, g, text, n in counted]
    minute, code, error, count = np.array(cells, np.int32).reshape(-1, 4).T
    nothing = np.zeros(len(cells), np.int32)
    trials = TrialDeltas(code, minute, nothing, count, nothing, count, nothing)
    failed = ErrorTrials(code, minute, error, count)
    return Closed(START + end, NAMES, trials, NO_VALUES, errors=tuple(texts), failed=failed)


def plain(rows: list[Row], now: int, begin: int, end: int) -> dict[tuple[Group, str], int]:
    """Failure by failure: who has a slot at its minute, and whether the window has its minute, or its whole hour."""
    slots: dict[str, dict[str, int]] = {"t": {}, "u": {}}
    kept: list[tuple[int, Group, str]] = []
    for minute, name, text in sorted(row for row in rows if row[0] < now):
        mine, at = slots[NAMES[name][0]], START + minute
        if text not in mine:
            for gone in [known for known, last in mine.items() if last // 60 <= at // 60 - BASELINE_HOURS]:
                if len(mine) == SLOTS:
                    del mine[gone]
        named = text in mine or len(mine) < SLOTS
        if named:
            mine[text] = at
        kept.append((at, NAMES[name], text if named else OTHER))
    found: dict[tuple[Group, str], int] = {}
    for at, group, text in kept:
        coarse = at // 60 < (START + now) // 60 - BY_MINUTE_HOURS
        first, last = (at // 60 * 60, at // 60 * 60 + 60) if coarse else (at, at + 1)
        if first >= START + begin and last <= START + end and at // 60 > (START + now) // 60 - BASELINE_HOURS:
            found[group, text] = found.get((group, text), 0) + 1
    return found


minutes = st.one_of(st.integers(0, END), st.integers(END - 300, END))
failures = st.lists(st.tuples(minutes, st.integers(0, 2), st.sampled_from(["x", "y", "z", "w"])), max_size=40)


@given(
    failures, st.lists(st.integers(1, END), max_size=8), minutes, minutes, st.sampled_from([0, 16_384]), st.booleans()
)
@settings(max_examples=200, deadline=None)
def test_counts_are_the_plain_sums_however_the_minutes_came(
    rows: list[Row],
    cuts: list[int],
    begin: int,
    end: int,
    slack: int,
    restore: bool,  # noqa: FBT001
) -> None:
    begin, end = sorted((begin, end))
    now, kept = END + 1, LeafTrials()
    with patch("models.columns.minute_rows._SLACK", slack), patch("models.alerts.leaf_errors.MOST_ERRORS", SLOTS):
        for start, until in pairwise(sorted({0, now, *cuts})):
            kept.add(closed(rows, start, until), START + start, START + until)
            if restore:
                kept = LeafTrials(kept.state())
        counts, leaf, text = kept.by_error(START + now, START + begin, START + end)
    counted = {
        (kept.leaves.names[at], error): int(n) for n, at, error in zip(counts, leaf.tolist(), text, strict=True) if n
    }
    assert counted == plain(rows, now, begin, end)


def test_a_slot_is_given_away_in_the_very_hour_from_which_its_old_text_is_read_no_more() -> None:
    last, hour = 59, BASELINE_HOURS * 60
    rows = [(0, 0, "x"), (last, 0, "y"), (hour - 1, 0, "z"), (hour, 0, "z"), (hour, 0, "w"), (hour + 1, 0, "v")]
    kept = LeafTrials()
    with patch("models.alerts.leaf_errors.MOST_ERRORS", SLOTS):
        kept.add(closed(rows, 0, hour + 2), START, START + hour + 2)
        counts, _, text = kept.by_error(START + hour + 2, START, START + hour + 2)
        wanted = plain(rows, hour + 2, 0, hour + 2)
    assert dict(zip(text, counts.tolist(), strict=True)) == {"z": 1, "w": 1, OTHER: 2}
    assert {error: n for (_, error), n in wanted.items()} == {"z": 1, "w": 1, OTHER: 2}


def test_a_flood_of_texts_takes_a_bounded_number_of_codes() -> None:
    kept = LeafErrors()
    with patch("models.alerts.leaf_errors.MOST_ERRORS", SLOTS):
        for minute in range(0, 100 * DAY, 60):
            kept.add([(0, "t", minute, f"id-{minute}", 1)])
        leaf, text = kept.keys(NAMES)
    assert len(leaf) == SLOTS + 1
    assert text.count(OTHER) == 1
