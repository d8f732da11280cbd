"""What a compressed file unpacks to takes little memory at a time, is bounded, and leaves room on the disk."""

from __future__ import annotations

import gzip
import shutil
import tracemalloc
from collections import namedtuple
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from backports import zstd

from connectors.decode.decoder import Decoder
from connectors.files import unpacking
from connectors.files.index import index
from connectors.files.lane import FileLane
from connectors.files.unpacking import InputError, Unpacking

MIB = 1 << 20
BLANKS = 128 * MIB
Pack = Callable[[bytes], bytes]
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil gives it


def bomb(path: Path, content: bytes, times: int) -> Path:
    with gzip.open(path, "wb") if path.suffix == ".gz" else zstd.open(path, "wb") as file:
        for _ in range(times):
            file.write(content)
    return path


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_bomb_of_blanks_takes_little_memory_and_holds_no_record(tmp_path: Path, suffix: str) -> None:
    path = bomb(tmp_path / f"a.jsonl{suffix}", b" " * MIB, BLANKS // MIB)
    assert path.stat().st_size < MIB
    tracemalloc.start()
    try:
        found = index([path], [], tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 0
    assert len(found.data[0]) == BLANKS
    # A line's ends are looked for in pieces of 16 MiB, each of which becomes a mask and places.
    assert most < BLANKS // 2


def test_a_record_of_many_megabytes_is_refused_with_its_size_and_hash_and_only_its_beginning_is_held(
    tmp_path: Path,
) -> None:
    path = bomb(tmp_path / "a.jsonl.zst", b"x" * MIB, 40)
    lane = FileLane(index([path], [], tmp_path), Decoder(now_us=0, max_future_skew_us=0), 100, None, None)
    (batch,) = lane.next_batch()
    (refused,) = batch.refused
    assert refused.reason == "too_large"
    assert f"has {40 * MIB} bytes" in refused.detail
    assert refused.whole == (40 * MIB, sha256(b"x" * 40 * MIB).hexdigest())
    assert len(refused.raw) == MIB


def test_a_file_that_dead_letters_could_not_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.jsonl"
    path.write_text("{}")
    with pytest.raises(InputError, match="must have a name in UTF-8"):
        Unpacking(tmp_path).open(path)


def test_files_may_not_unpack_to_more_than_the_limit_together(tmp_path: Path) -> None:
    paths = [bomb(tmp_path / f"{name}.jsonl.zst", b" " * MIB, 3) for name in "ab"]
    assert len(index(paths, [], tmp_path, 6 * MIB).data) == 2
    with pytest.raises(InputError, match=r"b\.jsonl\.zst: .* at most 6,291,455 bytes unpacked.*limits\.unpacked"):
        index(paths, [], tmp_path, 6 * MIB - 1)


def test_a_window_that_needs_too_much_memory_is_a_sentence_with_the_command_that_packs_it_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    wide: dict[int, int] = {zstd.CompressionParameter.window_log: 29, zstd.CompressionParameter.content_size_flag: 0}
    with zstd.open(path, "wb", options=wide) as file:
        for number in range(40):
            file.write(bytes([number]) * MIB)
    with pytest.raises(InputError, match=r"window of at most 256 MiB.*zstd -dc --long=31 .*a\.jsonl\.zst"):
        index([path], [], tmp_path)


def test_windows_of_256_mib_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    wide: dict[int, int] = {zstd.CompressionParameter.window_log: 28, zstd.CompressionParameter.content_size_flag: 0}
    with zstd.open(path, "wb", options=wide) as file:
        file.write(b"{}\n")
    assert len(index([path], [], tmp_path)) == 1


def test_a_disk_without_room_is_a_sentence_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bomb(tmp_path / "a.jsonl.gz", b" " * MIB, 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, unpacking.ROOM_LEFT - 1))
    with pytest.raises(InputError, match="must fit unpacked on the disk"):
        Unpacking(tmp_path).open(path)
