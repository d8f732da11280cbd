"""Killed with SIGKILL at any moment, the same command goes on and ends as if nothing had happened."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aftercall.errors import StateError
from connectors.segments.folder import SegmentFolder
from connectors.snapshot.tables import PUBLISHED
from flows.dataflow.stored_state import Keeping
from flows.runtime.contract_starts import judged_so_far
from flows.runtime.run_folder import RunError
from harness.waiting import HANG_S
from models.state import Envelopes
from system.commands import aftercall
from system.contract_files import CONTRACT, LATER, write_contracts
from system.forks import Fork
from system.runs import PUBLISH, History, Left, assert_same, command, environment, history, left, replay, sums_that_fail

pytestmark = pytest.mark.slow

CALLS = 17_000
"""Three batches of records, so that a kill finds epochs behind it and before it."""
CAMPAIGNS, KILLS = 3, 5
"""Runs that are killed several times before they may end, and how often each."""

Moment = Callable[[Path], bool]


def recovery_made(out: Path) -> bool:
    return any((out / "state").glob("recovery*"))


def publishing(out: Path) -> bool:
    return any(out.glob("versions/.publishing-*"))


def published(out: Path) -> bool:
    return (out / "outcomes.duckdb").is_symlink()


def finished(out: Path) -> bool:
    try:
        return bool(json.loads((out / "state" / "run.json").read_text())["finished"])
    except (OSError, ValueError):
        return False


EVENTS: dict[str, Moment] = {
    "its recovery store is being made": recovery_made,
    "a snapshot is being written": publishing,
    "a snapshot has been linked": published,
    "it has just finished": finished,
}


class Reference:
    """The run that was not killed, and how long it took."""

    def __init__(self, folder: Path) -> None:
        self.history: History = history(folder, calls=CALLS)
        write_contracts(folder)
        begun = time.monotonic()
        replay(self.history, folder / "reference", settings=PUBLISH)
        self.seconds = time.monotonic() - begun
        self.left: Left = left(folder / "reference")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return Reference(tmp_path_factory.mktemp("kill"))


def killed(made: History, out: Path, workers: int, after_s: float, moment: Moment | None) -> bool:
    """Run the command and kill it after so long, or as soon as `moment` has come; whether it was still alive."""
    printed, errors = out.parent / "printed.txt", out.parent / "errors.txt"
    errors.unlink(missing_ok=True)
    process = Fork(command(made, out, workers), cwd=out.parent, env=environment(**PUBLISH), out=printed, err=errors)
    deadline = time.monotonic() + after_s
    while process.poll() is None and time.monotonic() < deadline and not (moment and moment(out)):
        time.sleep(0.002)
    alive = process.poll() is None
    process.kill()
    process.wait()
    assert alive or (process.returncode, errors.read_text()) == (0, ""), (process.returncode, errors.read_text())
    return alive


def test_the_history_has_what_makes_it_hard(reference: Reference) -> None:
    (row,) = reference.left.tables["pipeline"]
    # watermark, records, calls, completed, attempts, outcomes, duplicates, waiting, orphans, late, conflicts,
    # dead_letters, and verdicts; then texts, of which none are kept here
    assert all(count > 0 for count in row[1:7]), row
    assert all(count > 0 for count in row[8:16]), row
    assert all(reference.left.lines.values()), {name: len(lines) for name, lines in reference.left.lines.items()}
    for name, lines in reference.left.lines.items():
        assert max(lines.values()) == 1, f"{name} repeats a line"
    revisions = list(PUBLISHED["calls"]).index("revisions")
    assert any(row[revisions] > 1 for row in reference.left.tables["calls"]), "no call is revised twice"
    assert {row[3] for row in reference.left.tables["tool_calls"]} >= {"search", "late", "tool-6"}
    assert {row[1] for row in reference.left.tables["tool_rates"]} >= {"search", "late"}
    rules = {"fast", "tools", "cheap", "retries", "talk", "long"}
    assert {row[7] for row in reference.left.tables["checks"]} == rules
    assert sum(row[5] for row in reference.left.tables["contracts"]) > CALLS // 2
    of_sessions = [row for row in reference.left.tables["statements"] if str(row[1]).startswith("session:")]
    assert len(of_sessions) > CALLS // 50
    pipeline = dict(zip(PUBLISHED["pipeline"], (None, None, *row), strict=False))
    assert pipeline["session_late"], "none came late"


def test_two_workers_leave_what_one_leaves(reference: Reference, tmp_path: Path) -> None:
    write_contracts(tmp_path)
    replay(reference.history, tmp_path / "out", workers=2, settings=PUBLISH)
    assert_same(left(tmp_path / "out"), reference.left)


@pytest.mark.parametrize("campaign", [0, *(pytest.param(i, marks=pytest.mark.long) for i in range(1, CAMPAIGNS))])
def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(
    reference: Reference, tmp_path: Path, campaign: int
) -> None:
    """Moments are spread evenly over the run's length, start-up to end; one of each campaign is an event."""
    draw = random.Random(campaign)
    out, workers = tmp_path / "out", 1 + campaign % 2
    write_contracts(tmp_path)
    moments: list[tuple[float, str | None]] = [
        (reference.seconds * (index + draw.random()) / (KILLS - 1), None) for index in range(KILLS - 1)
    ]
    moments.append((HANG_S, list(EVENTS)[campaign]))
    draw.shuffle(moments)
    endings = []
    for after_s, event in moments:
        alive = killed(reference.history, out, workers, after_s, EVENTS[event] if event else None)
        endings.append(f"{'killed' if alive else 'ended'} {event or f'after {after_s:.2f} s'}")
        assert sums_that_fail(out) == [], endings
    replay(reference.history, out, workers, PUBLISH)
    assert sums_that_fail(out) == []
    try:
        assert_same(left(out), reference.left)
    except AssertionError as wrong:
        raise AssertionError(f"{wrong}; {endings}, {workers} workers") from None


def test_a_version_of_a_contract_that_has_judged_calls_stays_and_a_new_one_begins_later(
    reference: Reference, tmp_path: Path
) -> None:
    write_contracts(tmp_path)
    out = tmp_path / "out"
    keeping = Keeping(Envelopes(), SegmentFolder(out / "state" / "segments"))
    stored = False
    while not stored:
        assert killed(reference.history, out, 1, HANG_S, epoch_stored(keeping)), "it ended before it could be killed"
        stored = bool(judged_so_far(out / "state", keeping).calls)
    file, new = (tmp_path / "contracts" / name for name in ("summaries-1.toml", "other.toml"))
    early = LATER.replace("summaries", "other").replace("-04T", "-01T")
    changes = {
        "contract summaries 1 has changed since it judged": (file, CONTRACT.replace("2500", "2000")),
        "must stay; its file is gone": (file, None),
        "the earliest time allowed now is 2025-03-0": (new, early),
    }
    for sentence, (changed, text) in changes.items():
        changed.unlink(missing_ok=True)
        if text is not None:
            changed.write_text(text)
        refused = aftercall(tmp_path, *command(reference.history, out)[1:])
        assert (refused.returncode, sentence in refused.stderr) == (2, True), refused.stderr
        file.write_text(CONTRACT)


def epoch_stored(keeping: Keeping) -> Moment:
    """That a state of the snapshot is stored in which calls were judged."""

    def has_judged(out: Path) -> bool:
        try:
            return bool(judged_so_far(out / "state", keeping).calls)
        except (RunError, StateError):  # while it is being written
            return False

    return has_judged
