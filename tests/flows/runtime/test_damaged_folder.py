"""Whatever happens to the bytes of a stopped folder's state, it is the same state that is read, or a sentence."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from aftercall.errors import StateError, UserError
from flows.dataflow.stored_state import Keeping
from flows.runtime.run_folder import STOPPED, VERSION, read_run, write_run
from flows.runtime.state_store import digest, open_store
from models.state import Envelopes
from states.golden import goldens

TRIES = 400


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a real service of an older commit, upgraded, as an orderly stop leaves it."""
    folder = tmp_path_factory.mktemp("stopped")
    goldens("kafka")[0].unpack(folder)
    state = folder / "out" / "state"
    run = read_run(state)
    assert run["version"] != VERSION
    open_store(state, Keeping(Envelopes()), begun=True, old=True)
    write_run(state, run | {STOPPED: digest(state)})
    return state


def opened(state: Path) -> tuple[dict[str, Any], str]:
    """What a start reads before Bytewax does: what the run is, and a hash of all its states."""
    run = read_run(state)
    open_store(state, Keeping(Envelopes()), begun=True, stopped=run[STOPPED])
    return run, digest(state)


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


@pytest.mark.slow
def test_damage_is_a_sentence_or_changes_nothing(stopped: Path, tmp_path: Path) -> None:
    drawn = random.Random(10)
    sound = opened(stopped)
    files = [path for path in (stopped / "run.json", *sorted((stopped / "recovery").iterdir())) if path.stat().st_size]
    sentences = list[tuple[Path, str]]()
    for number in range(TRIES):
        state = tmp_path / str(number)
        shutil.copytree(stopped, state, ignore=shutil.ignore_patterns("*.duckdb*", "lock", "*.log"))
        file = state / drawn.choice(files).relative_to(stopped)
        file.write_bytes(damaged(file.read_bytes(), drawn))
        try:
            assert opened(state) == sound, f"{number}: {file}"
        except UserError as error:
            sentences.append((state, str(error)))
        shutil.rmtree(state)
    assert len(sentences) > TRIES / 2, "most bytes matter"
    assert [sentence for state, sentence in sentences if str(state) not in sentence or "\n" in sentence] == []


def test_a_state_of_an_earlier_stop_is_refused(stopped: Path, tmp_path: Path) -> None:
    """Its states are whole, but not those of this run's last stop."""
    state = tmp_path / "state"
    shutil.copytree(stopped, state)
    run = read_run(state)
    write_run(state, run | {STOPPED: "0" * 32})
    with pytest.raises(UserError, match="as it was when the run was stopped"):
        opened(state)


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
