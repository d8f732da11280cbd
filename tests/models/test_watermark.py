"""The clock of the calls over all lanes: how far calls have been read."""

from __future__ import annotations

import pytest

from aftercall.times import NEVER
from models.watermark import ENDED, LaneClock, LaneClocks


def _clocks(*calls: tuple[int, int]) -> LaneClocks:
    return LaneClocks({str(i): LaneClock(0, 0, False, *both) for i, both in enumerate(calls)})


@pytest.mark.parametrize(
    ("lanes", "clock"),
    [
        ([(5, 9), (7, 8)], 5),
        ([(5, 9), (ENDED, ENDED)], 5),
        # Idle partitions count as far as outcomes were read, and no call may have been read so far.
        ([(700, 9), (700, 8)], 9),
        ([(700, 9), (6, 8)], 6),
        ([(8, 9), (80_000, 80_000)], 8),
        ([(NEVER, NEVER), (ENDED, ENDED)], NEVER),
        ([(700, NEVER), (ENDED, ENDED)], NEVER),
        # No call is waited for.
        ([(ENDED, ENDED), (ENDED, ENDED)], ENDED),
    ],
)
def test_the_clock_of_the_calls(lanes: list[tuple[int, int]], clock: int) -> None:
    assert _clocks(*lanes).calls(len(lanes)) == clock


def test_it_is_not_known_before_each_lane_has_sent_one() -> None:
    assert _clocks((5, 9)).calls(2) == NEVER
