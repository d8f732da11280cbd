"""Says how much each section measures."""

from __future__ import annotations

from typing import Final, NamedTuple


class Size(NamedTuple):
    """How much to measure.

    Attributes:
        records: per run, about.
        turns: runs of each; the best counts. Runs that are compared take turns.
        statements: per call.
        ratios: statements per call at which the base commit runs too.
        groups: numbers of groups.
        days: over which the calls of the thin replay are spread.
        held: numbers of held calls, rising.
        burst: records that are read with so many calls held.
        lead_s: seconds of traffic that are read before a steady rate begins, so that outcomes arrive from its start.
        steady_s: seconds measured at a steady rate, and the seconds before that do not count.
        state_s: the same with the most calls held; a whole number of epochs.
        bare_s: the same without epochs, for what an epoch costs.
    """

    records: int
    turns: int
    statements: tuple[int, ...]
    ratios: tuple[int, ...]
    groups: tuple[int, ...]
    days: float
    held: tuple[int, ...]
    burst: int
    lead_s: float
    steady_s: tuple[float, float]
    state_s: tuple[float, float]
    bare_s: tuple[float, float]


SIZES: Final = {
    "ci": Size(
        40_000, 1, (1, 3), (1, 3), (1_000,), 0.5, (20_000,), 10_000, 20.0, (10.0, 3.0), (20.0, 3.0), (20.0, 3.0),
    ),
    "full": Size(
        1_000_000, 3, (1, 2, 3, 5), (1, 3), (10, 100, 1_000, 10_000), 14.0, (100_000, 1_000_000, 5_000_000), 400_000,
        300.0, (180.0, 30.0), (3600.0, 20.0), (120.0, 20.0),
    ),
}  # fmt: skip
GROUPS: Final = 200
"""Where groups are not what is varied."""
RATE: Final = 1000.0
"""Records per second, of event time in bursts and of wall clock at a steady rate."""
EPOCH_S: Final = 10.0
"""The default of `recovery.epoch`."""
