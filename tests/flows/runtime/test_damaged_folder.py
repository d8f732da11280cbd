"""Whatever happens to the bytes of a stopped folder, a run goes on from the same, or with a sentence."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from rich.console import Console

from aftercall.errors import StateError, UserError
from connectors.files.lane import Index, index
from flows.dataflow.stored_state import Keeping
from flows.reports.insights import insights
from flows.reports.insights_view import render
from flows.runtime.run_folder import OUTPUTS, SEGMENTS, STOPPED, VERSION, read_run, write_run
from flows.runtime.state_store import digest, keeping_of, open_store
from flows.settings import Settings
from flows.settings.loading import load
from models.state import Envelopes
from states import files
from states.golden import goldens
from states.opened import opened, resumed, steps_in

TRIES: Final = int(os.environ.get("DAMAGE_TRIES", "120"))
"""10,000 take some 13 minutes of CPU; `DAMAGE_SEED` draws others."""
OLD: Final = "f290d4d"
"""A commit before there were envelopes."""
SEED: Final = int(os.environ.get("DAMAGE_SEED", "10"))
_SMALL_SEGMENTS: Final = "[recovery]\nsegment_kb = 1\n"
HOURS: Final = (timedelta(hours=48), timedelta(hours=168))


class Killed(NamedTuple):
    """A replay that was killed: its folder, and what it was run with."""

    out: Path
    settings: Settings
    files: Index

    def resumed(self, out: Path, *, published: bool = True) -> dict[str, Any]:
        """What a run in a copy of the folder goes on from."""
        keeping = keeping_of(self.settings, out / "state")
        return resumed(out, keeping, self.settings, self.files, published=published)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a real service of an older commit, upgraded, as an orderly stop leaves it."""
    folder = tmp_path_factory.mktemp("stopped")
    next(golden for golden in goldens("kafka") if golden.commit == OLD).unpack(folder)
    state = folder / "out" / "state"
    run = read_run(state)
    assert run["version"] != VERSION
    open_store(state, Keeping(Envelopes()), begun=True, old=True)
    write_run(state, run | {STOPPED: digest(state)})
    return state


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A replay with many segments and all outputs, killed, with what an orderly stop would have left in `run.json`."""
    folder = tmp_path_factory.mktemp("killed")
    files.write(folder, _SMALL_SEGMENTS)
    files.kill(folder, published=True)
    out, settings = folder / files.OUT, load(folder / files.CONFIG)
    assert settings.recovery.segment_kb == 1
    write_run(out / "state", read_run(out / "state") | {STOPPED: digest(out / "state")})
    return Killed(out, settings, index([folder / files.CALLS], [folder / files.OUTCOMES], folder))


def damaged(data: bytes, drawn: random.Random) -> bytes:
    """One bit flipped, a run of bytes overwritten, or the end cut off."""
    at = drawn.randrange(len(data))
    match drawn.randrange(4):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + drawn.randbytes(8) + data[at + 8 :]
        case _:
            return data[:at] + bytes([data[at] ^ 1 << drawn.randrange(8)]) + data[at + 1 :]


def bytes_changed(out: Path, drawn: random.Random) -> Path:
    """Change bytes of a file: each kind of file as often as the others, whatever its size."""
    kinds: dict[str, list[Path]] = {}
    for path in (path for path in sorted(out.rglob("*")) if path.is_file() and not path.is_symlink()):
        if path.stat().st_size and path.suffix != ".log":
            kinds.setdefault(SEGMENTS if path.parent.name == SEGMENTS else path.name, []).append(path)
    file = drawn.choice(kinds[drawn.choice(sorted(kinds))])
    file.chmod(0o600)
    file.write_bytes(damaged(file.read_bytes(), drawn))
    return file


def deleted(out: Path, drawn: random.Random) -> Path:
    """Delete any file but those that are empty."""
    paths = [path for path in sorted(out.rglob("*")) if path.is_file() and not path.is_symlink()]
    file = drawn.choice([path for path in paths if path.stat().st_size])
    file.unlink()
    return file


def swapped(out: Path, drawn: random.Random) -> Path:
    """Swap the contents of two segments."""
    one, other = drawn.sample(sorted((out / "state" / SEGMENTS).iterdir()), 2)
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    return one


def added(out: Path, drawn: random.Random) -> Path:
    """Put something among the segments: a file, a copy of a segment, or a folder."""
    folder = out / "state" / SEGMENTS
    name = drawn.choice(("notes.txt", "join-s0-0-000001-whole.segment", ".segment", "\N{SNOWMAN}.segment"))
    if drawn.randrange(3):
        shutil.copy(drawn.choice(sorted(folder.iterdir())), folder / name)
    else:
        (folder / name).mkdir()
        (folder / name / "within").touch()
    return folder / name


KINDS: Final[tuple[Callable[[Path, random.Random], Path], ...]] = (
    *[bytes_changed] * 16,
    *(deleted, deleted, swapped, added),
)


@pytest.mark.slow
@pytest.mark.parametrize("tries", [TRIES * 3 // 8, pytest.param(TRIES - TRIES * 3 // 8, marks=pytest.mark.long)])
def test_damage_is_a_sentence_or_changes_nothing(killed: Killed, tmp_path: Path, tries: int) -> None:
    drawn = random.Random(SEED + tries)
    shutil.copytree(killed.out, tmp_path / "sound", symlinks=True)
    sound = killed.resumed(tmp_path / "sound")
    steps = steps_in(sound)
    assert steps.keys() >= {"join", "groups", "drift", "alerting", "routing", "tables", *OUTPUTS}
    assert steps["join"] > 10
    sentences, wrong = list[tuple[Path, str]](), list[str]()
    for number in range(tries):
        out = tmp_path / str(number)
        shutil.copytree(killed.out, out, symlinks=True)
        kind = drawn.choice(KINDS)
        file = kind(out, drawn)
        published = file.name.startswith("live.duckdb")
        try:
            found = killed.resumed(out, published=published)
            if found != {name: value for name, value in sound.items() if published or name != "tables"}:
                wrong.append(f"{number}, {kind.__name__} {file}: another result")
        except UserError as error:
            sentences.append((out, str(error)))
        except Exception as error:  # noqa: BLE001 - what a user would see as a traceback
            wrong.append(f"{number}, {kind.__name__} {file}: {error!r}")
        shutil.rmtree(out)
    assert wrong == []
    assert [sentence for out, sentence in sentences if str(out) not in sentence or "\n" in sentence] == []
    assert len(sentences) > tries / 2, "most bytes matter"


def test_a_state_of_an_earlier_stop_is_refused(stopped: Path, tmp_path: Path) -> None:
    """Its states are whole, but not those of this run's last stop."""
    state = tmp_path / "state"
    shutil.copytree(stopped, state)
    run = read_run(state)
    write_run(state, run | {STOPPED: "0" * 32})
    with pytest.raises(UserError, match="as it was when the run was stopped"):
        opened(state.parent, Keeping(Envelopes()))


def test_a_stopped_folder_without_a_key_is_sealed_once_and_needs_the_key_from_then_on(
    stopped: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    shutil.copytree(stopped, state)
    keyed, before = Envelopes(b"0123456789abcdef"), read_run(state)[STOPPED]
    with pytest.raises(StateError, match="--accept-unsealed-state"):
        open_store(state, Keeping(keyed), begun=True, stopped=before)
    open_store(state, Keeping(keyed), begun=True, unsealed=True, stopped=before)
    open_store(state, Keeping(keyed), begun=True, stopped=digest(state))
    with pytest.raises(StateError, match=r"service\.state_key_file"):
        open_store(state, Keeping(Envelopes()), begun=True)


@pytest.mark.slow
def test_a_damaged_snapshot_is_reported_in_a_sentence_or_answers_the_same(killed: Killed, tmp_path: Path) -> None:
    drawn, data = random.Random(SEED), next(killed.out.glob("versions/*/outcomes.duckdb")).read_bytes()

    def answered(file: Path) -> str:
        comparison, printed = insights(file, "triage", *HOURS, None), StringIO()
        render(comparison, Console(file=printed, width=120))
        return comparison.to_json() + printed.getvalue()

    file = tmp_path / "sound.duckdb"
    file.write_bytes(data)
    sound, sentences = answered(file), list[str]()
    for number in range(TRIES // 10):
        file = tmp_path / f"{number}.duckdb"
        # Twice: `insights` does not read all tables, and what it does not read cannot be noticed.
        file.write_bytes(damaged(damaged(data, drawn), drawn))
        try:
            assert answered(file) == sound
        except UserError as error:
            sentences.append(str(error))
        file.unlink()
    assert [sentence for sentence in sentences if not sentence.startswith(f"snapshot: {tmp_path}/")] == []
    assert len(sentences) > TRIES / 20
