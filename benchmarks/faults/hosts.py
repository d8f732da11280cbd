"""The host is not as it was: its clock, its disk, the files of the run."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from benchmarks.faults.clock import WrongClock
from benchmarks.faults.small_disk import small_disk
from benchmarks.faults.stage import Stage
from benchmarks.kill_process import RunError

_HOUR_S, _DAY_S = 3600.0, 86_400.0
_HELD_S: Final = 8.0
_DISK_MB: Final = 90
_FILE_BYTES: Final = 1_300_000


def clock_behind(stage: Stage) -> None:
    """The host's clock is an hour behind at the start, and set back by two while it runs."""
    clock = WrongClock(stage.folder / "clock")
    stage.write(0.4)
    clock.set(-_HOUR_S)
    stage.start(variables=clock.variables)
    stage.paused("host_clock")
    time.sleep(_HELD_S)
    if read := stage.metric("aftercall_records_total"):
        stage.findings.add("wrong", f"nothing may be read under a clock that is behind; {read} records were")
    clock.set(0)
    stage.reads_all()
    stage.ready()
    stage.resumes("host_clock")
    clock.set(-2 * _HOUR_S)
    stage.write(0.7)
    stage.paused("host_clock")
    clock.set(0)
    stage.reads_all()
    stage.finish()


def clock_ahead(stage: Stage) -> None:
    """The host's clock jumps 60 days ahead, and back."""
    clock = WrongClock(stage.folder / "clock")
    stage.started(0.3, variables=clock.variables)
    clock.set(60 * _DAY_S)
    stage.write(0.6)
    stage.reads_all()
    clock.set(0)
    stage.write(0.8)
    stage.reads_all()
    stage.finish()


def disk_full(stage: Stage) -> None:
    """No room on the disk of the folder, found by dd."""
    with small_disk(stage.folder / "disk", _DISK_MB) as disk:
        if disk is None:
            raise RunError("a full disk cannot be caused here: root alone may mount a small one")
        inner = disk / "out"
        inner.mkdir()
        stage.pipeline.out.symlink_to(inner)
        stage.started(0.4)
        subprocess.run(["dd", "if=/dev/zero", f"of={disk / 'ballast'}", "bs=4096"], check=False, capture_output=True)
        stage.write(0.9)
        stage.ends(1, "aftercall: ")
        stage.refused(1, "MiB must be free")
        (disk / "ballast").unlink()
        stage.finish()
        stage.pipeline.out.unlink()
        shutil.copytree(inner, stage.pipeline.out, symlinks=True)


def write_fails(stage: Stage) -> None:
    """No file may grow further, as under a quota (ulimit -f)."""
    stage.started(0.3)
    stage.stop()
    stage.write(1)
    limit = (_FILE_BYTES, _FILE_BYTES)
    stage.start(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    stage.ends(1, "check the disk")
    stage.finish()


def files_damaged(stage: Stage) -> None:
    """Bytes changed by dd in the run's file, a segment, the stored state, the live database; then put back."""
    stage.started(0.4)
    stage.stop()
    kept = stage.folder / "kept"
    shutil.copytree(stage.pipeline.out, kept, symlinks=True)
    state = stage.pipeline.out / "state"
    segment = max((state / "segments").glob("*.segment"), key=lambda path: path.stat().st_size)
    for path in (state / "run.json", segment, state / "recovery" / "part-0.sqlite3", state / "live.duckdb"):
        # Databases have pages that are not used, in which a byte is without effect.
        _change(path, 1 if path.suffix in {".json", ".segment"} else path.stat().st_size // 2)
        stage.refused(1, path.name, options=("--take-over",))
        shutil.rmtree(stage.pipeline.out)
        shutil.copytree(kept, stage.pipeline.out, symlinks=True)
    stage.finish("--take-over")


def files_missing(stage: Stage) -> None:
    """A part of the state removed; then put back."""
    stage.started(0.4)
    stage.stop()
    kept = stage.folder / "kept"
    shutil.copytree(stage.pipeline.out, kept, symlinks=True)
    for name in ("recovery/part-0.sqlite3", "live.duckdb", "segments", "recovery"):
        path = stage.pipeline.out / "state" / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
        stage.refused(1, Path(name).parts[0], options=("--take-over",))
        shutil.rmtree(stage.pipeline.out)
        shutil.copytree(kept, stage.pipeline.out, symlinks=True)
    stage.finish("--take-over")


def snapshots_removed(stage: Stage) -> None:
    """All published snapshots removed while it runs."""
    stage.started(0.4)
    shutil.rmtree(stage.pipeline.out / "versions")
    stage.write(0.7)
    stage.reads_all()
    stage.finish()


def link_as_lock(stage: Stage) -> None:
    """A folder made by another: state/lock is a link to a file of another."""
    victim = stage.folder / "victim"
    victim.write_text("precious")
    state = stage.pipeline.out / "state"
    state.mkdir(parents=True)
    (state / "lock").symlink_to(victim)
    stage.refused(1, "state/lock", "link")
    if victim.read_text() != "precious":
        stage.findings.add("lost", "the target of a link was emptied")
    shutil.rmtree(stage.pipeline.out)
    stage.finish()


def stood_still(stage: Stage) -> None:
    """SIGSTOP for 20 s, as a frozen machine."""
    stage.started(0.4)
    os.kill(stage.pipeline.process.pid, signal.SIGSTOP)
    stage.write(0.7)
    time.sleep(20)
    os.kill(stage.pipeline.process.pid, signal.SIGCONT)
    stage.reads_all()
    stage.finish()


def _change(path: Path, count: int) -> None:
    """Change so many bytes from the middle on, by dd."""
    middle = path.stat().st_size // 2
    with path.open("rb") as file:
        file.seek(middle)
        changed = bytes(byte ^ 0x20 for byte in file.read(count))
    dd = ["dd", f"of={path}", "bs=1", f"seek={middle}", "conv=notrunc"]
    subprocess.run(dd, input=changed, check=True, capture_output=True)


FAULTS: Final = (
    clock_behind, clock_ahead, disk_full, write_fails, files_damaged, files_missing, snapshots_removed, link_as_lock,
    stood_still,
)  # fmt: skip
