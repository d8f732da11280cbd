"""The sentences of reference section 2 on the watermark and the order of reading, as the oracle reads them."""

from __future__ import annotations

from oracle.order import File, Read, reading_order, watermarks
from oracle.records import NEVER, Call


def reads(*entries: tuple[int, int]) -> list[Read]:
    """Records of (file, event time)."""
    return [Read(file, line, Call(f"{line}", at)) for line, (file, at) in enumerate(entries)]


def test_the_watermark_starts_once_each_file_has_given_a_record_and_is_the_least_clock() -> None:
    order = reads((0, 5), (0, 9), (1, 7), (0, 10), (1, 12), (0, 20))
    assert watermarks(order, 2) == ([NEVER, NEVER, NEVER, 7, 7, 10], 20)


def test_a_file_at_its_end_is_left_out_and_all_at_their_end_give_the_greatest_clock() -> None:
    assert watermarks(reads((1, 9), (0, 1), (0, 2), (0, 3)), 2) == ([NEVER, NEVER, 1, 2], 9)
    assert watermarks(reads((0, 1), (0, 2)), 2) == ([NEVER, 1], 2)
    assert watermarks([], 2) == ([], NEVER)


def test_a_clock_is_the_newest_time_and_never_falls() -> None:
    assert watermarks(reads((0, 9), (0, 5), (0, 6)), 1) == ([NEVER, 9, 9], 9)
    order = reads((0, 9), (1, 7), (0, 5), (1, 12), (1, 13), (0, 20))
    assert watermarks(order, 2) == ([NEVER, NEVER, 7, 7, 9, 9], 20)


def test_records_are_read_by_event_time_then_file_then_line() -> None:
    line = b'{"call_id":"%s","occurred_at":"2025-01-01T0%d:00:00%s","task_type":"t","model":"m"}'
    files = [
        File("calls", (line % (b"a", 2, b"Z"), line % (b"b", 1, b"Z"), line % (b"c", 1, b"Z"))),
        File("calls", (line % (b"d", 2, b"+01:00"), line % (b"e", 0, b"Z"))),
    ]
    assert [read.record.call_id for read in reading_order(files)] == ["e", "b", "c", "d", "a"]
