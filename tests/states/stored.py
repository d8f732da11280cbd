"""What a run has stored to go on from, in the form of today and in the one before, which was `pickle`."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from connectors.segments.folder import SegmentFolder
from flows.dataflow.stored_state import Keeping, Loaded, Tracked
from models.join import merged_shard
from models.state import Envelopes
from states.comparison import OF_ONE_CAUSE, OF_SILENCE, OF_VOLUMES

_RESUMES = """
SELECT min(coalesce(fronts.worker_frontier, exs.resume_epoch)) FROM exs LEFT JOIN fronts USING (ex_num)
WHERE ex_num = (SELECT max(ex_num) FROM exs)
"""
_NEWEST = """
SELECT step_id, state_key, ser_change, max(snap_epoch) FROM snaps WHERE snap_epoch < ? GROUP BY step_id, state_key
"""


_ENVELOPE = b"\x97\xb1aftercall-state-"


class State(NamedTuple):
    """One state as Bytewax keeps it: `data` is a pickle. Parts of it may lie in the folder of the segments."""

    step: str
    key: str
    data: bytes
    segments: Path

    def plain(self) -> Any:
        """What the step gave; where that is a pickle, what is in it."""
        given = pickle.loads(self.data)
        if isinstance(given, bytes) and given.startswith(_ENVELOPE):
            folder, join = SegmentFolder(self.segments), self.step == "outcomes.join"
            step = self.step.rpartition(".")[2]
            return Loaded(Keeping(Envelopes(), folder), step, given, self.key).state(
                merged_shard if join else Tracked.merge
            )
        return pickle.loads(given) if isinstance(given, bytes) else given


def given(state: State) -> bytes:
    """What the step or sink gave to Bytewax."""
    found = pickle.loads(state.data)
    assert isinstance(found, bytes)
    return found


def exists(out: Path) -> bool:
    """Whether the run in a folder has a store yet."""
    return any(_parts(out))


def resume_epoch(out: Path) -> int:
    """The epoch with which the run would go on; 0 where nothing is stored."""
    found = 0
    for part in _parts(out):
        with closing(_opened(part)) as store:
            (epoch,) = store.execute(_RESUMES).fetchone()
            found = max(found, int(epoch or 0))
    return found


def states(out: Path, *steps: str) -> list[State]:
    """The states with which the run would go on, of all steps or of these."""
    epoch = resume_epoch(out)
    return [state for part in _parts(out) for state in _newest(part, epoch) if not steps or state.step in steps]


def every_state(out: Path) -> list[State]:
    """All that lies in the store, of epochs before and after that one too."""
    return [state for part in _parts(out) for state in _newest(part, 2**62)] + states(out)


def records_read(out: Path) -> int:
    """How many records the run has stored that it has read: their number in files, or that of all partitions."""
    try:
        lanes = [state.plain() for state in states(out, "outcomes.lanes")]
    except sqlite3.OperationalError:  # the store is being made
        return 0
    return sum(
        lane["position"] if "position" in lane else sum(position for position, *_ in lane["partitions"].values())
        for lane in lanes
    )


def counts_sources(out: Path) -> bool:
    """Whether the run has counted what sources say since it began, as far as its state shows."""
    (state,) = states(out, "outcomes.snapshot_out")
    return "source_cells" in state.plain()


def scores_trust(out: Path) -> bool:
    """Whether the run has scored trust since it began (decision 0044)."""
    return bool(states(out, "outcomes.trust"))


def knows_lumps(out: Path) -> bool:
    """Whether the detectors of volumes that the run has so far knew how far counts lie apart (decision 0024)."""
    (state,) = states(out, "outcomes.drift")
    return "phi" in state.plain()["volume"]["calls"]["profile"]


def holds_days(out: Path) -> bool:
    """Whether the detectors of volumes that the run has so far held days of a fall back (decision 0032 and after)."""
    (state,) = states(out, "outcomes.drift")
    return "held_off" in state.plain()["volume"]["calls"]["profile"]


def joins_alarms(out: Path) -> bool:
    """Whether the run has so far put what else changed beside the headline of an alert (decision 0027)."""
    (state,) = states(out, "outcomes.alerting")
    return any("others" in incident for incident in state.plain()["incidents"]["all"])


def knows_own_days(out: Path) -> bool:
    """Whether the detectors of rates that the run has so far had days of their own (decision 0029)."""
    (state,) = states(out, "outcomes.drift")
    return "opens" in state.plain()["rates"]["dispersion"]


def knows_known_moments(out: Path) -> bool:
    """Whether the detector of success rates that the run has so far shared its promise with them (decision 0033)."""
    (state,) = states(out, "outcomes.drift")
    return "known" in state.plain()["rates"]


def counts_shared(out: Path) -> bool:
    """Whether its detectors count which outcomes share a unit, and weigh them as decisions 0026 and 0031 have it."""
    (state,) = states(out, "outcomes.drift")
    return "sizes" in (state.plain()["rates"].get("units") or {})


def weighs_bursts(out: Path) -> bool:
    """Whether its detector of success rates has so far weighed what comes in bursts as decision 0039 has it."""
    (state,) = states(out, "outcomes.drift")
    return "bursts" in (state.plain()["rates"].get("units") or {})


def knows_silence(out: Path) -> bool:
    """Whether routing has so far held which arms are silent, and the weights that they had (decision 0056)."""
    (state,) = states(out, "outcomes.routing")
    return all("beside" in task for task in state.plain()["tasks"].values())


def apart(out: Path) -> tuple[str, ...]:
    """Kinds of alerts of which what is stored is not what this code would have made of the same input."""
    volumes = () if knows_lumps(out) and holds_days(out) else OF_VOLUMES
    alike = joins_alarms(out) and knows_own_days(out) and knows_known_moments(out)
    alike = alike and counts_shared(out) and weighs_bursts(out)
    silence = () if knows_silence(out) else (OF_SILENCE,)
    return (*volumes, *silence) if alike else (*volumes, *silence, *OF_ONE_CAUSE)


def _newest(part: Path, epoch: int) -> Iterator[State]:
    with closing(_opened(part)) as store:
        for step, key, data, _ in store.execute(_NEWEST, [epoch]).fetchall():
            if data is not None:
                yield State(step, key, bytes(data), part.parents[1] / "segments")


def _parts(out: Path) -> list[Path]:
    return sorted((out / "state" / "recovery").glob("part-*.sqlite3"))


def _opened(part: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{part.resolve().as_uri()}?mode=ro", uri=True, timeout=60)
