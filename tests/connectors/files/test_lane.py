"""Reading order, watermarks, batch cuts and resumes of a replay, against a loop that does one record at a time."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import NEVER, format_time, parse_time
from connectors.batch import Batch
from connectors.decode.decoder import Decoder
from connectors.files.lane import FileLane, FileLanes, InputError, index
from simulated.file_lanes import read

START = parse_time("2026-03-01T00:00:00Z")
NOW = parse_time("2026-06-01T00:00:00Z")
MINUTE = 60_000_000


def decoder() -> Decoder:
    return Decoder(now_us=NOW, max_future_skew_us=0)


def call(us: int, **fields: Any) -> bytes:
    record = {"call_id": f"c{us}", "occurred_at": format_time(us), "task_type": "t", "model": "m", **fields}
    return json.dumps(record).encode()


def outcome(us: int, **fields: Any) -> bytes:
    record = {"outcome_id": f"o{us}", "call_id": f"c{us}", "occurred_at": format_time(us), "source": "judge"}
    return json.dumps({**record, "success": True, **fields}).encode()


def write(folder: Path, name: str, lines: list[bytes], end: bytes = b"\n") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(lines) + (end if lines else b""))
    return path


def lane(calls: list[Path], outcomes: list[Path], spool: Path, size: int = 20_000, state: Any = None) -> FileLane:
    source = FileLanes(index(calls, outcomes, spool), decoder(), batch_size=size)
    return source.build_part("files", "files", state)


def rows(batches: list[Batch]) -> list[tuple[str, int, int, str]]:
    """(file, line, watermark, what became of it) in reading order."""
    found = []
    for batch in batches:
        mine: list[tuple[int, tuple[str, int, int, str]]] = []
        for columns in (batch.calls, batch.outcomes):
            for i, pos in enumerate(columns.pos.tolist()):
                name = batch.partitions[int(columns.partition[i])]
                mine.append((pos, (name, int(columns.offset[i]), int(columns.wm[i]), "accepted")))
        taken = {pos for pos, _ in mine}
        free = [pos for pos in range(batch.records) if pos not in taken]
        for pos, refused in zip(free, batch.refused, strict=True):
            mine.append((pos, (batch.partitions[refused.partition], refused.offset, 0, refused.reason)))
        found += [row for _, row in sorted(mine)]
    return found


# --- order and watermarks ---------------------------------------------------------------------------------------------

Entry = tuple[int | None, str]
"""(minute, or None where the line has no time; good, bad, blank)."""
entries = st.tuples(st.one_of(st.integers(0, 12), st.none()), st.sampled_from(["good"] * 5 + ["bad", "blank"]))
histories = st.tuples(
    st.lists(st.lists(entries, max_size=8), min_size=0, max_size=3),
    st.lists(st.lists(entries, max_size=8), min_size=0, max_size=3),
)


def materialise(folder: Path, history: Any) -> tuple[list[Path], list[Path]]:
    paths: list[list[Path]] = []
    for kind, files in enumerate(history):
        make = outcome if kind else call
        paths.append([])
        for i, content in enumerate(files):
            lines = []
            for minute, quality in content:
                if quality == "blank":
                    lines.append(b"  \t")
                elif minute is None:
                    lines.append(b"{nonsense")
                else:
                    extra: dict[str, Any] = {"attrs": 5} if quality == "bad" else {}
                    lines.append(make(START + minute * MINUTE, **extra))
            paths[kind].append(write(folder, f"{kind}-{i}.jsonl", lines))
    return paths[0], paths[1]


def naive(history: Any, names: list[str]) -> tuple[list[tuple[str, int, int, str]], int, int]:
    """One record at a time, as the reference reads it."""
    files = [*history[0], *history[1]]
    everything = []
    for i, content in enumerate(files):
        last = NEVER
        for number, (minute, quality) in enumerate(content, start=1):
            if quality == "blank":
                continue
            if minute is not None:
                last = START + minute * MINUTE
            everything.append((last, i, number, quality == "good" and minute is not None))
    everything.sort()
    left = [sum(1 for _, f, _, _ in everything if f == i) for i in range(len(files))]
    clocks = [NEVER] * len(files)

    def watermark() -> int:
        running = [clocks[i] for i in range(len(files)) if left[i]]
        return min(running) if running else max(clocks, default=NEVER)

    found = []
    for at, i, number, good in everything:
        found.append((names[i], number, watermark() if good else 0, "accepted" if good else "refused"))
        left[i] -= 1
        if good:
            clocks[i] = max(clocks[i], at)
    return found, watermark(), max(clocks, default=NEVER)


def plain(found: list[tuple[str, int, int, str]]) -> list[tuple[str, int, int, str]]:
    return [(name, number, wm, what if what == "accepted" else "refused") for name, number, wm, what in found]


@pytest.mark.slow
@settings(max_examples=150)
@given(histories, st.integers(1, 7), st.integers(0, 40))
def test_order_watermarks_and_clocks_equal_a_naive_loop_for_any_cut_and_resume(
    tmp_path_factory: pytest.TempPathFactory, history: Any, size: int, stop: int
) -> None:
    folder = tmp_path_factory.mktemp("files")
    calls, outcomes = materialise(folder, history)
    names = [str(path) for path in [*calls, *outcomes]]
    want, low, high = naive(history, names)

    whole = read(lane(calls, outcomes, folder))
    assert plain(rows(whole)) == want
    if whole:
        assert (whole[-1].low, whole[-1].high) == (low, high)

    first = lane(calls, outcomes, folder, size)
    before: list[Batch] = []
    while len(before) < stop and (len(rows(before)) < len(want)):
        before += first.next_batch()
    after = read(lane(calls, outcomes, folder, size + 1, first.snapshot()))
    assert plain(rows([*before, *after])) == want
    if after:
        assert (after[-1].low, after[-1].high) == (low, high)
    assert all(batch.records <= size + 1 for batch in [*before, *after])


def test_the_low_clock_after_a_batch_is_the_watermark_of_the_next_record(tmp_path: Path) -> None:
    calls = [write(tmp_path, "a.jsonl", [call(START + i * MINUTE) for i in range(6)])]
    outcomes = [write(tmp_path, "b.jsonl", [outcome(START + (2 * i + 1) * MINUTE) for i in range(6)])]
    batches = read(lane(calls, outcomes, tmp_path, 1))
    met = [wm for _, _, wm, _ in rows(batches)]
    assert [batch.low for batch in batches[:-1]] == met[1:]
    assert met == sorted(met)
    assert met[0] == NEVER


def test_equal_times_are_read_calls_first_then_by_file_then_by_line(tmp_path: Path) -> None:
    b = write(tmp_path, "b.jsonl", [call(START), call(START)])
    a = write(tmp_path, "a.jsonl", [call(START)])
    o = write(tmp_path, "0.jsonl", [outcome(START)])
    found = [(Path(name).name, number) for name, number, _, _ in rows(read(lane([b, a], [o], tmp_path)))]
    assert found == [("b.jsonl", 1), ("b.jsonl", 2), ("a.jsonl", 1), ("0.jsonl", 1)]


def test_future_records_move_no_clock(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [call(START), call(NOW + 1), call(START + 1)])
    (batch,) = read(lane([path], [], tmp_path))
    assert [item.reason for item in batch.refused] == ["future"]
    assert batch.low == batch.high == START + 1


def test_resuming_at_every_position_changes_nothing(tmp_path: Path) -> None:
    calls = [write(tmp_path, "a.jsonl", [call(START + i * MINUTE) for i in (0, 3, 1, 9, 9)])]
    outcomes = [write(tmp_path, "b.jsonl", [outcome(START + i * MINUTE) for i in (4, 2, 8)])]
    want = rows(read(lane(calls, outcomes, tmp_path)))
    for stop in range(len(want) + 1):
        first = lane(calls, outcomes, tmp_path, 1)
        before = [batch for _ in range(stop) for batch in first.next_batch()]
        assert rows([*before, *read(lane(calls, outcomes, tmp_path, 3, first.snapshot()))]) == want


def test_changed_files_are_not_resumed(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [call(START), call(START + 1)])
    first = lane([path], [], tmp_path, 1)
    first.next_batch()
    write(tmp_path, "a.jsonl", [call(START), call(START + 1), call(START + 2)])
    with pytest.raises(InputError, match="not the files this run was started with"):
        lane([path], [], tmp_path, 1, first.snapshot())


def test_progress_counts_records_up_to_the_total(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [call(START + i) for i in range(5)])
    seen: list[tuple[int, int]] = []
    source = FileLanes(
        index([path], [], tmp_path), decoder(), batch_size=2, on_progress=lambda done, total: seen.append((done, total))
    )
    batches = read(source.build_part("files", source.list_parts()[0], None))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert source.total == 5
    assert [batch.marks for batch in batches] == [{str(path): 2}, {str(path): 4}, {str(path): 5}]


# --- what files may look like -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_files_read_like_plain_ones_and_leave_nothing_behind(tmp_path: Path, suffix: str) -> None:
    lines = [call(START + (7 * i % 100) * MINUTE, error="x" * 200) for i in range(3000)]
    want = [row[1:] for row in rows(read(lane([write(tmp_path, "a.jsonl", lines)], [], tmp_path)))]
    pack = gzip.compress if suffix == ".gz" else zstd.compress
    # Two members in a row, as log shippers write them.
    half = b"\n".join(lines[:1000]) + b"\n", b"\n".join(lines[1000:]) + b"\n"
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(pack(half[0]) + pack(half[1]))
    spool = tmp_path / "out"
    spool.mkdir()
    assert [row[1:] for row in rows(read(lane([path], [], spool)))] == want
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("kept", [0.5, 0.98])
def test_a_truncated_compressed_file_is_an_error_that_names_it(tmp_path: Path, suffix: str, kept: float) -> None:
    data = b"\n".join(call(START + i * 7919 % 10**9, error=str(i * i)) for i in range(2000))
    packed = gzip.compress(data) if suffix == ".gz" else zstd.compress(data)
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(packed[: int(len(packed) * kept)])
    with pytest.raises(InputError, match=rf"a\.jsonl\{suffix}: ends in the middle of its compressed data"):
        index([path], [], tmp_path)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_that_is_not_compressed_as_named_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, f"a.jsonl{suffix}", [call(START)])
    with pytest.raises(InputError, match="is not compressed as its name says"):
        index([path], [], tmp_path)


def test_a_missing_file_and_a_folder_are_errors_of_one_line(tmp_path: Path) -> None:
    for path, what in ((tmp_path / "no.jsonl", "there is no such file"), (tmp_path, "cannot be read")):
        with pytest.raises(InputError, match=what) as caught:
            index([path], [], tmp_path)
        assert "\n" not in str(caught.value)


def test_blank_lines_count_as_lines_but_are_no_records(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n\n" + call(START) + b"\r\n  \t \r\n\r\n" + call(START + 1) + b"\n\n")
    (batch,) = read(lane([path], [], tmp_path))
    assert batch.calls.offset.tolist() == [3, 6]
    assert batch.records == 2
    assert batch.calls.raw.tolist() == [call(START), call(START + 1)]


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + call(START) + b"\n")
    assert rows(read(lane([path], [], tmp_path))) == [(str(path), 1, NEVER, "accepted")]


@pytest.mark.parametrize("content", [b"", b"\n", b"\n \n", b"\xef\xbb\xbf"])
def test_files_without_records_are_at_their_end(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    other = write(tmp_path, "b.jsonl", [outcome(START), outcome(START + 1)])
    (batch,) = read(lane([path], [], tmp_path))  # sinks open with the first batch, so there is one
    assert (batch.records, rows([batch])) == (0, [])
    assert [wm for _, _, wm, _ in rows(read(lane([path], [other], tmp_path)))] == [NEVER, START]


def test_a_half_written_last_line_is_refused_as_truncated_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [call(START), call(START + 1)[:-9]], end=b"")
    files = index([path], [], tmp_path)
    assert len(files.warnings) == 1
    assert f"{path}, line 2" in files.warnings[0]
    (batch,) = read(FileLanes(files, decoder()).build_part("files", "files", None))
    assert [(item.reason, item.offset) for item in batch.refused] == [("truncated", 2)]


def test_a_last_line_without_its_end_is_accepted_where_it_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [call(START), call(START + 1)], end=b"")
    files = index([path], [], tmp_path)
    assert files.warnings == []
    assert len(rows(read(FileLanes(files, decoder()).build_part("files", "files", None)))) == 2


def test_a_broken_last_line_with_its_end_is_not_called_truncated(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [call(START), b"{"])
    (batch,) = read(lane([path], [], tmp_path))
    assert [item.reason for item in batch.refused] == ["not_json"]


def test_a_line_without_a_time_stays_behind_the_line_before_it(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", [b"{", call(START + 9), b"{", call(START), b"\xff"])
    found = [number for _, number, _, _ in rows(read(lane([path], [], tmp_path)))]
    assert found == [1, 4, 5, 2, 3]


def test_lines_across_scan_chunks_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.files.index._SCAN_BYTES", 64)
    monkeypatch.setattr("connectors.files.index._PARSE_LINES", 3)
    path = write(tmp_path, "a.jsonl", [call(START + i) for i in range(50)])
    (batch,) = read(lane([path], [], tmp_path))
    assert batch.calls.offset.tolist() == list(range(1, 51))
    assert np.array_equal(batch.calls.at, START + np.arange(50))
