"""The laws of every stateful step, over the table of steps; a step of the dataflow without a row fails here too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import pytest
from bytewax.dataflow import Dataflow, Operator
from bytewax.testing import TestingSink, TestingSource

from flows.dataflow.stored_state import Keeping
from flows.outcomes import Outlets, outcomes
from flows.settings import Settings
from models.alerts import Alerting
from models.drift import Drift
from models.groups import Groups
from models.join import Join
from models.routing import Routing
from models.state import StateError
from models.trust import Trust
from suites.steps import ENVELOPES, STEPS, Keyed, Running, Stored, stream
from suites.stored import difference, parts

Folders = Callable[[], Path | None]
CUTS = tuple(part / 12 for part in range(12))
"""Of the stream of most laws: twelve batches, each some twenty hours."""
MODELS: Final[Mapping[str, Any]] = {
    "join": Join,
    "groups": Groups,
    "drift": Drift,
    "alerting": Alerting,
    "routing": Routing,
    "trust": Trust,
}
WATCHED: Final = ("human_review", "judge", "user_feedback")
NOT_REACHED: Final[Mapping[str, tuple[str, ...]]] = {
    # Ids of one hash, more sessions than may be, what waits or has a reason, and long ids: see `tests/models/sessions`.
    "sessions": ("crowded", "own_keys", "lone.calls", "lone.ids.low", "lone.revises", "lone.texts", "lone.waits"),
    # The settings do not change: see `tests/models/join/test_join.py`; for homonyms see `test_identity.py`.
    # `low` is of UUIDs alone; the codes are 0; what comes early retracts nothing, has no author and no reason: see
    # `test_early_outcomes.py`.
    "join": (
        "held.calls.rules",
        "homonyms",
        "held.statements.ids.low",
        "held.statements.retracts",  # see `tests/models/join/test_merged.py`, for authors too
        "held.statements.author",
        "waiting.outcome_ids.low",
        "waiting.partition",
        "waiting.retracts",
        "waiting.authors",
        "waiting.reasons",
        "waiting.scorers.has_text",  # the row is 0
    ),
    # The code of judge is 0. No group folds, as which ones do depends on cuts: see `tests/models/groups/`.
    # Nothing comes late: see `tests/oracle/test_late_calls.py`.
    "groups": ("sources.judge", "naming.turns", "naming.reached", "naming.folded", "came_late"),
    "rates": (
        "rates.history",
        "sources.delays_gone",
    ),  # of delays, after 126 days: see `tests/models/rates/test_rate_cells.py`
    # Alarms of the first two need weeks: see `test_detectors.py`; `count` is always empty, see `OpenAlarms.state`.
    # What waits for its minute, and arms that others follow: see `tests/oracle/test_drift_equals_reference.py`.
    "drift": (
        *("quantiles.", "volume.", "arms.", "rates.book.count", "numeric.book.count", "rates.known.book.count"),
        *("rates.known.waiting", "rates.known.followed"),
        # Bursts are trusted after weeks, see `tests/models/drift/success_rate/test_bursts.py`; human_review has none.
        *("rates.units.bursts.trusted", "sources.human_review.units.bursts.", "sources.human_review.units.agreement"),
        *(f"sources.{name}.{rest}" for name in WATCHED for rest in ("above", "book.count", "units.bursts.trusted")),
        # No contract judges: see `tests/oracle/test_violation_rates_equal_reference.py`.
        "contracts",
    ),
    # Nothing happens to triage; no arm goes for a day, see `tests/models/routing/test_presence.py`; no limit is set.
    "routing": ("tasks.triage.", "tasks.refund.presence.gone", "tasks.refund.beside.uses.slow_ms"),
}
"""Parts of a state in which the stream of these tests leaves nothing, and where another does."""
EVERY_STEP = pytest.mark.parametrize("name", list(STEPS))


@pytest.fixture(params=["whole", "segments"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> Folders:
    """A fresh folder for segments at each call, or none at all."""
    if request.param == "whole":
        return lambda: None
    numbers = count()
    return lambda: tmp_path / f"segments-{next(numbers)}"


BUILDS: Final = {name: step.build(Keeping(ENVELOPES)) for name, step in STEPS.items()}
"""Of logics whose state is stored whole."""


class End(NamedTuple):
    """All that a step gave, and its states in the end."""

    results: list[Keyed]
    contents: dict[str, Any]


def ended(name: str, results: list[Keyed], running: Running) -> End:
    shown = [(key, STEPS[name].shown(result)) for key, result in results]
    return End(shown, contents(running.states()))


def contents(stored: Stored) -> dict[str, Any]:
    return {key: STEPS[stored.step].content(state) for key, state in stored.opened().items()}


def assert_same(one: Any, other: Any) -> None:
    found = difference(one, other)
    assert found is None, found


@cache
def undisturbed(name: str) -> End:
    """Of the step that is asked for its state once, at the end."""
    running, results = stream(CUTS).undisturbed(name)
    return ended(name, results, running)


@pytest.mark.slow
@EVERY_STEP
def test_a_step_that_is_restored_before_every_message_goes_on_as_if_undisturbed(name: str, folders: Folders) -> None:
    """The same results one by one, and the same state at the end."""
    running, results = Running(name, folder=folders()), list[Keyed]()
    for message in stream(CUTS).into(name):
        running.restore(message[0])
        results += running.feed([message])
    assert_same(ended(name, results, running), undisturbed(name))


@EVERY_STEP
@pytest.mark.parametrize("part", [0.2, 0.7])
def test_a_step_that_is_restored_once_goes_on_as_if_undisturbed(name: str, part: float, folders: Folders) -> None:
    """What a restored step should have and learns in one message only would pass the test above."""
    messages = stream(CUTS).into(name)
    stop = int(part * len(messages))
    stopped = Running(name, folder=folders())
    results = stopped.feed(messages[:stop])
    restored = Running(name, stopped.states(), folders())
    results += restored.feed(messages[stop:])
    assert_same(ended(name, results, restored), undisturbed(name))


@EVERY_STEP
def test_two_that_are_restored_from_the_same_bytes_share_nothing(name: str, folders: Folders) -> None:
    messages = stream(CUTS).into(name)
    half = len(messages) // 2
    running = Running(name, folder=folders())
    running.feed(messages[:half])
    stored = running.states()
    one, other = Running(name, stored, folders()), Running(name, stored, folders())
    ended_first = ended(name, one.feed(messages[half:]), one)
    assert_same(contents(other.states()), contents(stored))
    assert_same(ended(name, other.feed(messages[half:]), other), ended_first)


@EVERY_STEP
def test_to_ask_for_the_state_changes_nothing(name: str, folders: Folders) -> None:
    """Not the next state, and no result."""
    asked, results = Running(name, folder=folders()), list[Keyed]()
    for message in stream(CUTS).into(name):
        results += asked.feed([message])
        asked.state(message[0])
    assert_same(ended(name, results, asked), undisturbed(name))
    assert_same(ended(name, results, asked), undisturbed(name))


@EVERY_STEP
def test_messages_that_wait_together_give_what_they_give_one_by_one(name: str, folders: Folders) -> None:
    together = Running(name, folder=folders())
    results = together.feed(stream(CUTS).into(name), together=7)
    assert_same(ended(name, results, together), undisturbed(name))


@EVERY_STEP
def test_it_does_not_matter_how_records_are_cut_into_batches(name: str) -> None:
    """As few batches as can be, twelve equal ones, and twelve whose sizes differ by far."""
    of_any_size = Random(1)
    step = STEPS[name]
    streams = [stream(cuts) for cuts in (CUTS, (), tuple(of_any_size.random() ** 2 for _ in range(12)))]
    first, *others = (step.steady([result for _, result in one.out_of(name)]) for one in streams)
    for other in others:
        assert_same(other, first)


@EVERY_STEP
@pytest.mark.parametrize("version", [0, 99])
def test_a_state_of_another_version_is_refused_with_what_a_user_can_do(name: str, version: int) -> None:
    """Not read wrongly."""
    logic = BUILDS[name](None)
    envelope = ENVELOPES.read(logic.snapshot(), name)
    with pytest.raises(StateError) as refused:
        BUILDS[name](ENVELOPES.seal(envelope._replace(version=version)))
    sentence = str(refused.value)
    assert f"step {name!r}" in sentence
    assert re.search(rf"\b{envelope.version}\b", sentence)
    assert re.search(rf"\b{version}\b", sentence)
    assert "--out" in sentence
    assert "that wrote it" in sentence
    assert "recovery" not in sentence, "there is no such option, and the folder has another name"


@pytest.mark.parametrize("name", list(MODELS))
def test_migrations_lead_to_the_present_version_without_a_gap(name: str) -> None:
    present, migrations = MODELS[name].STATE_VERSION, MODELS[name].MIGRATIONS
    assert sorted(migrations) == list(range(min(migrations, default=present), present))


@pytest.mark.parametrize("name", list(MODELS))
def test_a_state_that_holds_something_else_is_refused_in_one_sentence(name: str) -> None:
    """Its checksum is right, what it holds is made up."""
    envelope = ENVELOPES.read(BUILDS[name](None).snapshot(), name)
    for made_up in (None, 7, "text", (), {}, {"version": 2}):
        with pytest.raises(StateError) as refused:
            BUILDS[name](ENVELOPES.pack(name, envelope.key, envelope.version, made_up))
        assert "--out" in str(refused.value)


@EVERY_STEP
def test_a_state_of_another_step_is_refused(name: str) -> None:
    envelope = ENVELOPES.read(BUILDS[name](None).snapshot(), name)
    with pytest.raises(StateError, match="must hold the state of"):
        BUILDS[name](ENVELOPES.seal(envelope._replace(step="another")))


@EVERY_STEP
def test_every_bit_that_flips_in_a_state_is_found(name: str) -> None:
    """Of a thousand tried; three quarters of flips in a pickle load without a word."""
    running = Running(name)
    running.feed(stream(CUTS).into(name)[:40])
    state = next(iter(running.states().rows.values()))
    random = Random(5)
    for _ in range(1000):
        damaged = bytearray(state)
        damaged[random.randrange(len(state))] ^= 1 << random.randrange(8)
        with pytest.raises(StateError):
            BUILDS[name](bytes(damaged[: random.choice((len(state), random.randrange(len(state))))]))


@EVERY_STEP
def test_the_stream_of_these_tests_leaves_a_trace_in_every_part_of_a_state(name: str) -> None:
    """Otherwise the tests above would pass with a part that is not restored."""
    running, filled = Running(name), dict[str, bool]()
    for message in stream(CUTS).into(name):
        running.feed([message])
        for place, holds_anything in parts(running.state(message[0]).opened()[message[0]]):
            filled[place] = filled.get(place, False) or holds_anything
    empty = {place for place, holds_anything in filled.items() if not holds_anything}
    assert {place for place in empty if not place.startswith(NOT_REACHED.get(name, ()))} == set()


def test_the_table_holds_the_stateful_steps_of_the_dataflow_and_no_other() -> None:
    sink: Any = TestingSink([])
    flow = outcomes(Settings(), TestingSource([]), Outlets(*(sink,) * len(Outlets._fields)))
    assert set(stateful(flow)) == {name for name, step in STEPS.items() if not step.in_sink}


def stateful(within: Dataflow | Operator) -> Iterator[str]:
    for part in within.substeps:
        yield from [part.step_name] if type(part).__name__ == "stateful_batch" else stateful(part)
