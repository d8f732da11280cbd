"""The buffer: a text waits until its call fails, is copied once, and goes by age or by bytes, with a count."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from aftercall.times import HOUR_US, NEVER
from connectors.texts.buffer import AGED_OUT, PUSHED_OUT, TextBuffer
from connectors.texts.call_text import CallText
from harness.texts import NOON, call_text

SPAN = 48 * HOUR_US
PLENTY = 1 << 30


def buffer(folder: Path, cut: int = 0, *, most: int = PLENTY) -> TextBuffer:
    folder.parent.mkdir(exist_ok=True)
    made = TextBuffer(folder, SPAN, most)
    made.resume(cut)
    return made


def ids(*texts: CallText) -> list[tuple[str, int]]:
    return [(text.call_id, text.at) for text in texts]


def add(one: TextBuffer, *texts: CallText) -> None:
    for text in texts:
        one.add(text)


def test_a_failed_call_gives_its_text_once(tmp_path: Path) -> None:
    one = buffer(tmp_path / "texts")
    texts = [call_text(number) for number in range(100)]
    add(one, *texts)
    assert list(one.take(ids(texts[3], texts[97]))) == [texts[3], texts[97]]
    one.commit(1, NOON)
    assert list(one.take(ids(texts[3], texts[4]))) == [texts[4]]
    assert list(one.take([("unknown", NOON), (texts[5].call_id, NOON - 1)])) == []


def test_an_id_that_came_again_is_another_call(tmp_path: Path) -> None:
    one = buffer(tmp_path / "texts")
    first, second = call_text(1), call_text(1, NOON + 40 * SPAN)
    add(one, first, second)
    assert list(one.take(ids(second))) == [second]
    assert list(one.take(ids(first))) == [first]


def test_a_run_that_resumes_at_a_cut_knows_what_was_there_and_what_was_copied(tmp_path: Path) -> None:
    one = buffer(tmp_path / "texts")
    texts = [call_text(number) for number in range(4)]
    add(one, *texts[:2])
    one.commit(1, NOON)
    assert list(one.take(ids(texts[0])))
    add(one, texts[2])
    one.commit(2, NOON)
    assert list(one.take(ids(texts[1])))
    add(one, texts[3])
    one._flush()
    again = buffer(tmp_path / "texts", 2)
    assert list(again.take(ids(*texts))) == [texts[1], texts[2]]
    before = buffer(tmp_path / "texts", 1)
    assert list(before.take(ids(*texts))) == [texts[0], texts[1]]


def test_a_half_written_end_is_cut_off(tmp_path: Path) -> None:
    one = buffer(tmp_path / "texts")
    add(one, call_text(1))
    one.commit(1, NOON)
    (path,) = (tmp_path / "texts").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    again = buffer(tmp_path / "texts", 1)
    add(again, call_text(2))
    again.commit(2, NOON)
    assert list(buffer(tmp_path / "texts", 2).take(ids(call_text(1), call_text(2)))) == [call_text(1), call_text(2)]


def test_texts_that_are_too_old_are_given_up_and_counted_without_those_that_were_copied(tmp_path: Path) -> None:
    one = buffer(tmp_path / "texts")
    texts = [call_text(number) for number in range(10)]
    add(one, *texts)
    assert list(one.take(ids(texts[0])))
    assert not one.commit(1, NOON)
    assert not one.commit(2, NOON + SPAN)  # the next text begins a new file
    late = call_text(11, NOON + SPAN)
    add(one, late)
    assert one.commit(3, NOON + SPAN + HOUR_US) == {AGED_OUT: 9}
    assert list(one.take(ids(texts[1], late))) == [late]


def test_the_oldest_go_first_where_they_are_too_many_bytes(tmp_path: Path) -> None:
    one = buffer(tmp_path / "texts", most=400_000)
    draw = random.Random(7)
    texts, pushed_out = [call_text(number, words=draw.randbytes(3_000).hex()) for number in range(300)], 0
    for cut, start in enumerate(range(0, 300, 10), 1):
        add(one, *texts[start : start + 10])
        pushed_out += one.commit(cut, NOON)[PUSHED_OUT]
        assert one.size <= 400_000 + 200_000
    left = list(one.take(ids(*texts)))
    assert pushed_out > 0
    assert left == texts[pushed_out:]


def test_a_file_is_deleted_only_once_no_resume_can_need_it(tmp_path: Path) -> None:
    one = buffer(tmp_path / "texts")
    old = call_text(1)
    add(one, old)
    one.commit(1, NOON)
    one.commit(2, NOON + SPAN)
    add(one, call_text(2, NOON + SPAN))
    assert one.commit(3, NOON + 2 * SPAN)[AGED_OUT] == 1
    again = buffer(tmp_path / "texts", 2)  # the third cut was not stored
    assert list(again.take(ids(old))) == [old]
    assert again.commit(3, NOON + 2 * SPAN)[AGED_OUT] == 0  # no newer file is there: this one stays
    third = buffer(tmp_path / "texts", 3)
    third.commit(4, NOON + 2 * SPAN)


def test_what_was_given_up_stays_so_after_a_resume(tmp_path: Path) -> None:
    one = buffer(tmp_path / "texts")
    old, new = call_text(1), call_text(2, NOON + 2 * SPAN)
    add(one, old)
    one.commit(1, NOON)
    one.commit(2, NOON + SPAN)
    add(one, new)
    assert one.commit(3, NOON + 2 * SPAN)[AGED_OUT] == 1
    assert len(list((tmp_path / "texts").iterdir())) == 2
    again = buffer(tmp_path / "texts", 3)
    assert len(list((tmp_path / "texts").iterdir())) == 1
    assert list(again.take(ids(old, new))) == [new]


def test_an_erased_call_is_in_no_file_and_the_places_of_others_stay(tmp_path: Path) -> None:
    one = buffer(tmp_path / "texts")
    texts = [call_text(number) for number in range(50)]
    add(one, *texts)
    assert list(one.take(ids(texts[7])))
    one.commit(1, NOON)
    # Call 7 was copied, and is counted there.
    assert one.erase(["call-7", "call-9", "unknown"]) == {texts[9][:2]}
    assert list(one.take(ids(texts[9], texts[8]))) == [texts[8]]
    one.commit(2, NOON)
    again = buffer(tmp_path / "texts", 2)
    assert list(again.take(ids(*texts))) == [*texts[:7], *texts[10:]]
    assert [path.suffix for path in (tmp_path / "texts").iterdir()] == [".buffer"]


def test_a_text_that_the_disk_has_not_kept_is_lost_and_stops_nothing(tmp_path: Path) -> None:
    one = buffer(tmp_path / "texts")
    add(one, call_text(1))
    one.commit(1, NOON)
    (path,) = (tmp_path / "texts").iterdir()
    data = bytearray(path.read_bytes())
    data[-3] ^= 0xFF
    path.write_bytes(data)
    assert list(buffer(tmp_path / "texts", 1).take(ids(call_text(1)))) == []


@pytest.mark.parametrize("watermark", [NEVER, NOON])
def test_without_texts_nothing_is_written(tmp_path: Path, watermark: int) -> None:
    one = buffer(tmp_path / "texts")
    assert list(one.take([("c", 1)])) == []
    assert not one.commit(1, watermark)
    assert one.erase(["c"]) == set()
    assert not (tmp_path / "texts").exists()
