"""A part is what it was, compressed or not, and a made-up one is an error that a user can read."""

from __future__ import annotations

import numpy as np
import pytest
from backports import zstd

from flows.dataflow import parts
from flows.dataflow.parts import packed_part, part_in


@pytest.mark.parametrize("compress", [True, False])
def test_a_part_comes_back(compress: bool) -> None:  # noqa: FBT001 - a case
    value = {"counts": np.arange(1000), "names": ("a", "b")}
    found = part_in(packed_part(value, compress=compress))
    assert found["names"] == value["names"]
    np.testing.assert_array_equal(found["counts"], value["counts"])


def test_tables_of_counts_shrink() -> None:
    assert len(packed_part(np.zeros(10_000), compress=True)) < 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing",
        zstd.compress(b"no plain value")[:-3],
        zstd.compress(b"\xc1"),
        zstd.compress(b"\x01") + b"\x01",
        zstd.compress(b"\x01", options={zstd.CompressionParameter.content_size_flag: 0}),
        zstd.compress(b"")[:4],
        zstd.compress(b"")[:4] + b"\xff" * 20,
    ],
)
def test_what_is_no_part_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        part_in(data)


def test_a_part_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_MOST", 1000)
    with pytest.raises(ValueError, match="none of ours"):
        part_in(packed_part(np.zeros(1000), compress=True))
