"""Files of days: each text is there once, whatever is merged, killed, removed."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import duckdb
import pytest

from aftercall.times import DAY_US
from connectors.texts.call_text import TextError
from connectors.texts.day_files import DayFiles
from connectors.texts.parquet import TextFiles
from connectors.texts.pieces import days_in, pieces_in
from harness.texts import DAY, NOON, call_text, kept, rest_text, together


def filled(out: Path, cuts: int, *, each: int = 5, mode: int | None = None, key: bytes | None = None) -> DayFiles:
    """One epoch after another, each with some texts."""
    files = DayFiles(out / "texts", mode, key)
    files.resume(0)
    for cut in range(1, cuts + 1):
        files.add([call_text(number) for number in range((cut - 1) * each, cut * each)])
        files.commit(cut)
    return files


def names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "texts").rglob("*") if path.is_file())


def test_texts_are_kept_by_the_day_of_their_call(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "texts")
    files.resume(0)
    texts = [call_text(1), call_text(2, NOON + DAY_US), call_text(3)]
    files.add(texts)
    files.commit(1)
    assert [day.name for day in days_in(tmp_path / "texts")] == ["2024-10-04", "2024-10-05"]
    assert kept(tmp_path) == texts


def test_a_run_that_resumes_at_a_cut_has_what_was_written_up_to_it(tmp_path: Path) -> None:
    files = filled(tmp_path, 4)
    files.add([call_text(99)])
    files._write()  # a piece of an epoch that does not end
    (tmp_path / "texts" / "2024-10-04" / "x.parquet.draft").write_bytes(b"half")
    again = DayFiles(tmp_path / "texts")
    again.resume(2)
    assert kept(tmp_path) == [call_text(number) for number in range(10)]
    assert len(names(tmp_path)) == 2


def test_what_is_too_much_for_the_memory_is_written_before_the_epoch_ends_and_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.texts.day_files._PIECE_BYTES", 100)
    files = DayFiles(tmp_path / "texts")
    files.resume(0)
    for number in range(20):
        files.add([call_text(number)])
    files.commit(1)
    assert len(names(tmp_path)) > 2
    assert len(kept(tmp_path)) == 20


def test_a_day_that_is_over_becomes_one_file_and_every_moment_shows_each_text_once(tmp_path: Path) -> None:
    files = filled(tmp_path, 20)
    everything = kept(tmp_path)
    assert len(everything) == 100
    files.merge(20, DAY + 1)
    assert kept(tmp_path) == everything  # the files that were merged are still there
    assert len(names(tmp_path)) == 21
    files.merge(20, DAY + 1)
    assert kept(tmp_path) == everything
    assert names(tmp_path) == ["000000000001.0000-000000000020.0000.parquet"]


def test_files_that_a_resume_may_drop_are_not_merged(tmp_path: Path) -> None:
    files = filled(tmp_path, 20)
    files.merge(19, DAY + 1)
    DayFiles(tmp_path / "texts").resume(19)
    assert kept(tmp_path) == [call_text(number) for number in sorted(range(95), key=lambda n: f"call-{n}")]


def test_while_a_day_lasts_it_has_few_files_and_little_is_written_again(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "texts")
    files.resume(0)
    draw, written = random.Random(7), 0
    for cut in range(1, 401):
        files.add([call_text(cut, words=draw.randbytes(10_000).hex())])
        files.commit(cut)
        before = set(names(tmp_path))
        files.merge(cut, DAY)
        for name in set(names(tmp_path)) - before:
            written += int(name[18:30]) - int(name[:12]) + 1
    (day,) = days_in(tmp_path / "texts")
    assert len(pieces_in(day)[0]) <= 24
    assert written < 8 * 400
    assert len(kept(tmp_path)) == 400


def test_what_completes_calls_is_merged_while_their_first_texts_stay_in_a_large_file(tmp_path: Path) -> None:
    files, draw = DayFiles(tmp_path / "texts"), random.Random(7)
    files.resume(0)
    firsts = [call_text(number, words=draw.randbytes(10_000).hex())._replace(output=None) for number in range(9)]
    files.add(firsts)
    files.commit(1)
    for number in range(10):
        files.add([rest_text(number)])
        files.commit(2 + number)
    expected = [together(text, rest_text(number)) for number, text in enumerate(firsts)] + [together(rest_text(9))]
    assert kept(tmp_path) == expected
    files.merge(11, DAY)
    assert kept(tmp_path) == expected
    files.tidy()
    assert len(names(tmp_path)) == 2
    assert kept(tmp_path) == expected


def test_rows_are_sorted_by_id_in_row_groups_of_a_few_megabytes(tmp_path: Path) -> None:
    """So that a look-up reads one row group of a file."""
    files = DayFiles(tmp_path / "texts")
    files.resume(0)
    for cut in (1, 2, 3):
        files.add([call_text(number, words="long " * 4000) for number in range(cut, 900, 3)])
        files.commit(cut)
    files.merge(3, DAY + 1)
    files.tidy()
    (piece,) = pieces_in(days_in(tmp_path / "texts")[0])[0]
    groups = duckdb.execute(
        "SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata(?)", [str(piece.path)]
    ).fetchall()
    assert len(groups) >= 3
    assert max(rows for _, rows in groups) <= 210
    rows = duckdb.execute("SELECT call_id FROM read_parquet(?)", [str(piece.path)]).fetchall()
    assert rows == sorted(rows)


def test_days_are_removed_once_they_are_over_for_long_enough(tmp_path: Path) -> None:
    files = DayFiles(tmp_path / "texts")
    files.resume(0)
    files.add([call_text(1), call_text(2, NOON + DAY_US)])
    files.commit(1)
    files.forget((DAY + 1) * DAY_US - 1)
    assert len(kept(tmp_path)) == 2
    files.forget((DAY + 1) * DAY_US)
    assert kept(tmp_path) == [call_text(2, NOON + DAY_US)]
    assert [day.name for day in days_in(tmp_path / "texts")] == ["2024-10-05"]


def test_an_erased_call_is_in_no_file_that_was_merged_or_will_be(tmp_path: Path) -> None:
    files = filled(tmp_path, 10)
    files.merge(9, DAY)
    assert files.erase(["call-3", "call-47", "unknown"]) == {call_text(3)[:2], call_text(47)[:2]}
    assert files.erase(["call-3", "call-47"]) == set()
    assert len(kept(tmp_path)) == 48
    assert not {"call-3", "call-47"} & {text.call_id for text in kept(tmp_path)}
    assert all(name.endswith(".parquet") for name in names(tmp_path))
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize(("mode", "file", "folder"), [(None, 0o400, 0o700), (0o440, 0o440, 0o750)])
def test_texts_are_for_their_user_alone_unless_the_snapshot_is_for_others(
    tmp_path: Path, mode: int | None, file: int, folder: int
) -> None:
    filled(tmp_path, 1, mode=mode)
    (day,) = days_in(tmp_path / "texts")
    (piece,) = pieces_in(day)[0]
    rights = [stat.S_IMODE(path.stat().st_mode) for path in (piece.path, day, tmp_path / "texts")]
    assert rights == [file, folder, folder]


def test_with_a_key_no_file_shows_a_text_and_only_the_key_reads_it(tmp_path: Path) -> None:
    key = b"k" * 32
    files = filled(tmp_path, 20, key=key)
    files.merge(19, DAY + 1)
    for path in (tmp_path / "texts").rglob("*.parquet*"):
        assert b"call-3" not in path.read_bytes()
        assert path.read_bytes().startswith(b"PARE")
    assert kept(tmp_path) == []
    pieces = pieces_in(days_in(tmp_path / "texts")[0])[0]
    found = [row for piece in pieces for row in TextFiles(key).rows(piece.path, "call-3")]
    assert [row[2:] for row in found] == [call_text(3)[2:5]]
    assert files.erase(["call-3"]) == {call_text(3)[:2]}
    assert [row for piece in pieces for row in TextFiles(key).rows(piece.path, "call-3")] == []


def test_files_under_another_key_are_neither_merged_nor_said_to_be_erased(tmp_path: Path) -> None:
    filled(tmp_path, 3, key=b"k" * 16)
    other = DayFiles(tmp_path / "texts", key=b"o" * 16)
    other.resume(3)
    other.add([call_text(50)])
    other.commit(4)
    other.merge(4, DAY + 1)
    assert len(names(tmp_path)) == 4
    assert other.locked() is not None
    with pytest.raises(TextError, match=r"must be under the key of texts\.key_file"):
        other.erase(["call-1"])


def test_a_disk_that_refuses_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("a file in the way")
    files = DayFiles(tmp_path / "texts")
    files.add([call_text(1)])
    with pytest.raises(TextError, match="texts of calls must be readable and writable"):
        files.commit(1)
