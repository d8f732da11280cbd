"""A replay is killed, fails by a defect, reads a bomb, or is to write where it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from backports import zstd

from benchmarks.faults.defect import with_defect
from benchmarks.faults.file_stage import FileStage, kill_thrice

_DEFECT: Final = "models.join.join:Join.process@3"
_BOMB_MIB: Final = 3 * 1024


def replay_killed(stage: FileStage) -> None:
    """A replay killed three times."""
    kill_thrice(stage)
    stage.refused(stage.replay("out"), (0,))


def replay_with_a_defect(stage: FileStage) -> None:
    """A replay whose step raises what was not foreseen."""
    stage.refused(stage.replay("out", variables=with_defect(_DEFECT, "KeyError")), (1,), "Traceback", "KeyError")
    stage.expect_traceback()
    stage.refused(stage.replay("out"), (0,))


def bomb(stage: FileStage) -> None:
    """A .zst of some hundred kB that unpacks to 3 GiB without an end of line."""
    packed = stage.folder / "bomb.jsonl.zst"
    with zstd.open(packed, "wb") as file:
        for _ in range(_BOMB_MIB):
            file.write(b" " * 2**20)
    stage.refused(
        stage.replay("refused", inputs=(packed, stage.outcomes), variables={"AFTERCALL_LIMITS__UNPACKED": "1GiB"}),
        (1,),
        "bomb.jsonl.zst",
        "limits.unpacked",
    )
    stage.refused(stage.replay("out"), (0,))


def places_to_write(stage: FileStage) -> None:
    """An output folder that is a file, has a reserved name, a question mark, or no right to be there."""
    file = stage.folder / "file"
    file.write_text("precious")
    for out, codes in ((file, (1, 2)), (":memory:", (1, 2)), (file / "below", (1, 2)), ("/proc/out", (1, 2))):
        stage.refused(stage.replay(out), codes, "aftercall: ")
    if file.read_text() != "precious":
        stage.findings.add("lost", "a file was overwritten")
    if Path(stage.folder / ":memory:").exists():
        stage.findings.add("wrong", "a folder called :memory: was made")
    stage.refused(stage.replay("out"), (0,))


FAULTS: Final = (replay_killed, replay_with_a_defect, bomb, places_to_write)
