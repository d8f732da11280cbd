"""Files of marks beside calls and outcomes: no clock waits for them or moves by them, however batches are cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aftercall.times import format_time, parse_time
from connectors.batch import Batch
from connectors.decode.decoder import Decoder
from connectors.files.index import index
from connectors.files.lane import FileLane, FileLanes, InputError
from simulated.file_lanes import read

START = parse_time("2026-03-01T00:00:00Z")
MINUTE = 60_000_000


def written(path: Path, times: list[int], **fields: Any) -> Path:
    lines = [{"occurred_at": format_time(START + minute * MINUTE), "task_type": "t", **fields} for minute in times]
    numbered = [
        {"call_id": f"c{at}", "outcome_id": f"o{at}", "mark_id": f"m{at}", **line} for at, line in enumerate(lines)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in numbered))
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[Path]]:
    return {
        "calls": [written(tmp_path / "calls.jsonl", [10, 12, 14, 20], model="m")],
        "outcomes": [written(tmp_path / "outcomes.jsonl", [11, 13, 22], source="judge", success=True)],
        "marks": [written(tmp_path / "marks.jsonl", [1, 12, 13, 30, 40])],
    }


def lane(files: dict[str, list[Path]], spool: Path, size: int, state: Any = None, *, marks: bool = True) -> FileLane:
    indexed = index(files["calls"], files["outcomes"], spool, marks=files["marks"] if marks else ())
    source = FileLanes(indexed, Decoder(now_us=START + 10**12, max_future_skew_us=0), batch_size=size)
    return source.build_part("files", "files", state)


def met(batches: list[Batch], *, marks: bool) -> dict[str, list[int]]:
    """By kind, the watermark before each record in minutes after START; before there is one, -1."""
    kinds: dict[str, list[int]] = {
        "calls": [int(wm) for batch in batches for wm in batch.calls.wm],
        "outcomes": [int(wm) for batch in batches for wm in batch.outcomes.wm],
    }
    if marks:
        kinds["marks"] = [mark.wm for batch in batches for mark in batch.deployed]
    return {kind: [max((wm - START) // MINUTE, -1) for wm in wms] for kind, wms in kinds.items()}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_no_watermark_waits_for_marks_or_moves_by_them(files: dict[str, list[Path]], tmp_path: Path, size: int) -> None:
    batches = read(lane(files, tmp_path, size))
    without = read(lane(files, tmp_path, size, marks=False))
    found = met(batches, marks=True)
    assert {kind: found[kind] for kind in ("calls", "outcomes")} == met(without, marks=False)
    # That of minute 13 comes after the outcome of that minute, by the order of the files; the last ones after all.
    assert found["marks"] == [-1, 11, 12, 22, 22]
    last = batches[-1]
    assert ((last.low - START) // MINUTE, (last.high - START) // MINUTE, last.last) == (22, 22, True)
    assert sum(batch.records for batch in batches) == 12


def test_marks_do_not_say_where_calls_and_outcomes_end(files: dict[str, list[Path]], tmp_path: Path) -> None:
    ends = index(files["calls"], files["outcomes"], tmp_path, marks=files["marks"]).ends
    assert ends == (START + 20 * MINUTE, START + 22 * MINUTE)


def test_a_resumed_lane_goes_on_within_its_marks(files: dict[str, list[Path]], tmp_path: Path) -> None:
    whole = [mark for batch in read(lane(files, tmp_path, 1)) for mark in batch.deployed]
    for stop in range(1, 12):
        first = lane(files, tmp_path, stop)
        (begun,) = first.next_batch()
        rest = read(lane(files, tmp_path, 100, first.snapshot()))
        found = [mark for batch in (begun, *rest) for mark in batch.deployed]
        assert [mark._replace(pos=0) for mark in found] == [mark._replace(pos=0) for mark in whole], stop


def test_a_run_does_not_resume_with_other_marks(files: dict[str, list[Path]], tmp_path: Path) -> None:
    state = lane(files, tmp_path, 3).snapshot()
    written(files["marks"][0], [1, 12, 13, 30, 41])
    with pytest.raises(InputError, match="content has changed"):
        lane(files, tmp_path, 3, state)
