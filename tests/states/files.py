"""The traffic as two files, the command that replays them, and that command killed with SIGKILL in the middle."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from flows.dataflow.shards import SHARDS
from states import stored
from states.published import records_published
from states.traffic import DAY_S, KILL_S, SETTINGS, Sent, history
from system.commands import aftercall
from system.forks import Fork
from system.runs import environment

CALLS, OUTCOMES, CONFIG, OUT = "calls.jsonl", "outcomes.jsonl", "aftercall.toml", "out"
_STORMS: Final = ((8 * DAY_S, 15_000), (12 * DAY_S, 10_000), (KILL_S, 90_000))
"""A producer sends one record again and again: so that a run reads many batches, and stores its state in between."""
WITHIN_S: Final = 600.0
_GOES_S, _STANDS_S, _STANDS_LONGER_S = 0.1, 0.1, 1.5


def write(folder: Path, more: str = "") -> None:
    """The two files and the configuration, with `more` at its end."""
    sent = _with_storms(history())
    for name, kind in ((CALLS, "calls"), (OUTCOMES, "outcomes")):
        lines = "".join(record.line + "\n" for record in sent if record.kind == kind)
        (folder / name).write_text(lines, encoding="utf-8")
    (folder / CONFIG).write_text(SETTINGS + more, encoding="utf-8")


def digest(folder: Path) -> str:
    """Of what `write` wrote."""
    found = hashlib.sha256()
    for name in (CALLS, OUTCOMES, CONFIG):
        found.update((folder / name).read_bytes())
    return found.hexdigest()


def count(folder: Path) -> int:
    """How many records the files hold."""
    return sum((folder / name).read_bytes().count(b"\n") for name in (CALLS, OUTCOMES))


def arguments(workers: int) -> list[str]:
    """What stands behind `aftercall`; paths are relative, so that a folder can be moved."""
    files = ["--calls", CALLS, "--outcomes", OUTCOMES, "--config", CONFIG, "--out", OUT]
    return ["replay", *files, "--workers", str(workers)]


def run(folder: Path, workers: int = 1) -> None:
    """Give the command in a folder, and let it go to its end; it must print nothing on standard error."""
    done = aftercall(folder, *arguments(workers))
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)


def kill(folder: Path, workers: int = 1, *, published: bool = False) -> None:
    """Give the command, and kill it once it has stored, or published too, what there is up to `KILL_S`.

    What is published lies in segments by then: where settings have them small, every shard of the join has one.
    """
    enough = sum(record.at < KILL_S for record in _with_storms(history()))
    printed = folder / "printed.txt"
    process = Fork(["aftercall", *arguments(workers)], cwd=folder, env=environment(), out=printed, err=printed)
    try:
        _slowly_until(process, folder / OUT, enough, _STANDS_S, stored.records_read)
        if published:
            _slowly_until(process, folder / OUT, enough, _STANDS_LONGER_S, records_published)
            _slowly_until(process, folder / OUT, len(SHARDS), _STANDS_S, _segments_of_join)
    finally:
        process.kill()
        process.wait()


def _slowly_until(process: Fork, out: Path, enough: int, stands_s: float, found_in: Callable[[Path], int]) -> None:
    """As on a busy machine: every batch lasts longer than an epoch, so that each is stored."""
    deadline = time.monotonic() + WITHIN_S
    while (found := found_in(out)) < enough:
        assert process.poll() is None, f"it ended, exit code {process.returncode}, before it could be killed"
        assert time.monotonic() < deadline, f"it did not come to {enough}; it is at {found}"
        if stored.exists(out):
            process.send_signal(signal.SIGSTOP)
            time.sleep(stands_s)
            process.send_signal(signal.SIGCONT)
        time.sleep(_GOES_S)


def _segments_of_join(out: Path) -> int:
    return len({path.name.split("-")[1] for path in (out / "state" / "segments").glob("join-*")})


def _with_storms(sent: Sequence[Sent]) -> list[Sent]:
    found = list(sent)
    for at, copies in _STORMS:
        place = next(i for i, record in enumerate(found) if record.at >= at and record.kind == "calls")
        found[place:place] = [found[place]] * copies
    return found
