"""The whole dataflow, from files to files, equals the oracle; lines that cannot be read disturb nothing."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flows.replay import Replay, run
from flows.settings.loading import Settings, load
from oracle.against import compare, compare_verdicts
from oracle.histories import History, histories
from oracle.kinds import KINDS, WITHOUT_SETTINGS
from oracle.order import File, Read, watermarks
from oracle.records import Rules
from oracle.replay import Dead, Oracle

# A replay takes half a second: no shrinking, which would take minutes, and no deadline.
COSTLY = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def unlike(**fields: object) -> bytes:
    """A line that would do as a call and as an outcome, but for these fields."""
    sound = {"call_id": "c", "outcome_id": "o", "occurred_at": "2025-03-02T00:00:00Z", "task_type": "t", "model": "m"}
    return json.dumps({**sound, "source": "s", "success": True, **fields}).encode()


BROKEN = {
    b"{": "not_json",
    b"[1, 2]": "not_object",
    b'"a text"': "not_object",
    b"\xff\xfe{}": "not_utf8",
    b"{}": "missing_field",
    unlike(call_id=7.5): "wrong_type",
    unlike(call_id="x" * 129): "too_long",
    unlike(occurred_at="yesterday"): "bad_time",
    unlike(occurred_at="1999-01-01T00:00:00Z"): "before_2000",
    unlike(occurred_at="2999-01-01T00:00:00Z"): "future",
}
"""Lines that are refused wherever they stand, by the reason."""


def settings_of(rules: Rules) -> Settings:
    """The oracle's rules as the settings a user would write."""

    def span(us: int) -> str:
        seconds, rest = divmod(us, 1_000_000)
        assert rest == 0, "durations are written in whole seconds"
        return f"{seconds}s"

    join = {
        "horizon": rules.horizon_us,
        "allowed_lateness": rules.allowed_lateness_us,
        "orphan_wait": rules.orphan_wait_us,
        "session_wait": rules.session_wait_us,
    }
    tasks: dict[str, dict[str, Any]] = {task: {"horizon": span(us)} for task, us in rules.task_horizon_us.items()}
    for task, verdict in rules.silence.items():
        tasks[task]["silence"] = verdict
    for task, required in rules.task_require.items():
        tasks.setdefault(task, {})["require"] = list(required)
    sources: dict[str, dict[str, Any]] = {name: {"scale": list(scale)} for name, scale in rules.scale.items()}
    for key, by_source in {
        "pass_at": rules.pass_at, "fail_at": rules.fail_at, "abstain": rules.abstain, "combine": rules.combine,
        "same_id": dict.fromkeys(rules.revises, "revises"),
    }.items():  # fmt: skip
        for name, value in by_source.items():
            sources.setdefault(name, {})[key] = value
    return load(
        None,
        join={name: span(us) for name, us in join.items()} | {"id_form": "uuid" if rules.ids_as_uuids else "text"},
        verdict={"precedence": list(rules.precedence), "source": sources, "require": list(rules.require)},
        task=tasks,
        alias={field.removesuffix("_type"): names for field, names in rules.aliases.items()},
    )


def written(files: tuple[File, ...], folder: Path) -> tuple[list[Path], list[Path]]:
    """The paths of the files of calls and of outcomes."""
    paths: dict[str, list[Path]] = {"calls": [], "outcomes": []}
    for index, file in enumerate(files):
        path = folder / f"{index}-{file.kind}.jsonl"
        path.write_bytes(file.content())
        paths[file.kind].append(path)
    return paths["calls"], paths["outcomes"]


def replayed(rules: Rules, files: tuple[File, ...], folder: Path, workers: int) -> Path:
    """The output folder after a replay of the files."""
    calls, outcomes = written(files, folder)
    run(Replay(calls, outcomes, folder / "out", settings_of(rules), workers=workers))
    return folder / "out"


def lines_of(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines() if file.exists() else []


def agree(history: History, workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = replayed(history.rules, history.files, Path(folder), workers)
        oracle = history.oracle()
        compare(out / "outcomes.duckdb", oracle)
        compare_verdicts(lines_of(out / "verdicts.jsonl"), oracle)


@pytest.mark.slow
@settings(parent=COSTLY, max_examples=4)
@given(histories(sorted_files=False, kinds=WITHOUT_SETTINGS), st.sampled_from([1, 2]))
def test_the_dataflow_equals_the_oracle(history: History, workers: int) -> None:
    agree(history, workers)


@pytest.mark.long
@pytest.mark.slow
@settings(parent=COSTLY, max_examples=8)
@given(histories(kinds=WITHOUT_SETTINGS), st.sampled_from([1, 2]))
def test_the_dataflow_equals_the_oracle_on_many_sorted_histories(history: History, workers: int) -> None:
    agree(history, workers)


@pytest.mark.long
@pytest.mark.slow
@settings(parent=COSTLY, max_examples=8)
@given(histories(sorted_files=False, kinds=WITHOUT_SETTINGS), st.sampled_from([1, 2]))
def test_the_dataflow_equals_the_oracle_on_many_unsorted_histories(history: History, workers: int) -> None:
    agree(history, workers)


def may_be_set(history: History) -> bool:
    """Whether its rules could be settings: a neutral range beyond the scale is refused."""
    ends = [(rules, history.rules.scale.get(name)) for name, rules in history.rules.abstain.items()]
    return all(scale is None or scale[0] <= low <= high <= scale[1] for (low, high), scale in ends)


@pytest.mark.slow
@settings(parent=COSTLY, max_examples=5)
@given(histories(sorted_files=False, kinds=KINDS).filter(may_be_set), st.sampled_from([1, 2]))
def test_votes_as_people_have_them_equal_the_oracle(history: History, workers: int) -> None:
    agree(history, workers)


@pytest.mark.long
@pytest.mark.slow
@settings(parent=COSTLY, max_examples=8)
@given(histories(sorted_files=False, kinds=KINDS).filter(may_be_set), st.sampled_from([1, 2]))
def test_votes_as_people_have_them_equal_the_oracle_over_many_histories(history: History, workers: int) -> None:
    agree(history, workers)


class Disturbed(Oracle):
    """The oracle of a history with refused lines beside it."""

    def __init__(self, rules: Rules, refused: Counter[str]) -> None:
        super().__init__(rules)
        self._refused = refused

    def dead(self) -> list[Dead]:
        return super().dead() + [Dead(reason, "", None) for reason in self._refused.elements()]

    def counters(self) -> dict[str, int]:
        more = self._refused.total()
        return {
            name: count + more * (name in {"records", "dead_letters"}) for name, count in super().counters().items()
        }


@st.composite
def disturbances(draw: st.DrawFn) -> tuple[History, tuple[File, ...], Oracle]:
    """A history, its files with refused lines among them, and what is to be found then."""
    history = draw(histories(sorted_files=draw(st.booleans()), kinds=WITHOUT_SETTINGS))
    order = history.order()
    refused: Counter[str] = Counter()
    files, held_open = [], []
    for index, file in enumerate(history.files):
        lines = list(file.lines)
        for line in draw(st.lists(st.sampled_from(sorted(BROKEN)), max_size=4)):
            lines.insert(draw(st.integers(0, len(lines))), line)
            refused[BROKEN[line]] += 1
            if BROKEN[line] == "future":
                held_open.append(Read(index, 0, order[-1].record))
        files.append(File(file.kind, tuple(lines)))
    # A record of the year 2999 moves no clock, but is read last: until then its file is not at its end.
    before, _ = watermarks([*order, *held_open], len(files))
    _, last = watermarks(order, len(files))
    oracle = Disturbed(history.rules, refused)
    for read, watermark in zip(order, before, strict=False):
        oracle.feed(read.record, watermark)
    oracle.finish(last)
    return history, tuple(files), oracle


def disturb(disturbed: tuple[History, tuple[File, ...], Oracle], workers: int) -> None:
    history, files, oracle = disturbed
    with tempfile.TemporaryDirectory() as folder:
        out = replayed(history.rules, files, Path(folder), workers)
        compare(out / "outcomes.duckdb", oracle)
        compare_verdicts(lines_of(out / "verdicts.jsonl"), oracle)
        letters = [json.loads(line) for line in lines_of(out / "dead_letters.jsonl")]
        assert Counter(letter["reason"] for letter in letters) == Counter(dead.reason for dead in oracle.dead())
        lines = {(letter["origin"]["file"], letter["origin"]["line"]) for letter in letters}
        assert len(lines) == len(letters), "one dead letter for each line"


@pytest.mark.slow
@settings(parent=COSTLY, max_examples=4)
@given(disturbances(), st.sampled_from([1, 2]))
def test_malformed_lines_become_dead_letters_and_disturb_nothing(
    disturbed: tuple[History, tuple[File, ...], Oracle], workers: int
) -> None:
    disturb(disturbed, workers)


@pytest.mark.long
@pytest.mark.slow
@settings(parent=COSTLY, max_examples=8)
@given(disturbances(), st.sampled_from([1, 2]))
def test_malformed_lines_disturb_nothing_in_many_histories(
    disturbed: tuple[History, tuple[File, ...], Oracle], workers: int
) -> None:
    disturb(disturbed, workers)
