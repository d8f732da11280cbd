"""A pause shows in the log, in `/readyz` and in its metric, from the same moment to the same moment."""

from __future__ import annotations

import logging
from datetime import timedelta
from threading import Thread

import pytest

from connectors.metrics import Metrics
from connectors.pauses import CAUSES, LINGER_S, Pauses
from flows.service.health import Health


class Wheel:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Seen:
    """Pauses, and where they show."""

    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        log.set_level(logging.INFO, "aftercall.run")
        self.log, self.wheel, self.metrics = log, Wheel(), Metrics()
        self.pauses = Pauses(self.metrics, self.wheel)
        minute = timedelta(minutes=1)
        self.health = Health(stalled_after=minute, snapshot_every=minute, pauses=self.pauses, monotonic=self.wheel)
        self.health.loaded()

    def metric(self, cause: str) -> float | None:
        return self.metrics.registry.get_sample_value("aftercall_paused", {"cause": cause})

    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.log.records]

    def places(self, cause: str) -> tuple[list[str], list[str], float | None]:
        """The log, `/readyz` and the metric. The log comes first, as a look at the others ends what is over."""
        return self.lines(), self.health.not_ready(), self.metric(cause)


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture) -> Seen:
    return Seen(caplog)


@pytest.mark.parametrize("cause", [cause.name for cause in CAUSES])
def test_every_cause_shows_in_three_places_and_leaves_them_together(seen: Seen, cause: str) -> None:
    assert seen.places(cause) == ([], [], 0)
    seen.pauses.begin(cause, "agent.calls/3", "agent.calls/3 waits")
    begun = f"paused ({cause}): agent.calls/3 waits"
    assert seen.places(cause) == ([begun], [f"{cause}: agent.calls/3 waits (for 0 s)"], 1)
    seen.wheel.now = 30
    seen.pauses.end(cause, "agent.calls/3")
    seen.wheel.now = 30 + LINGER_S - 0.1
    assert seen.places(cause) == ([begun], [f"{cause}: agent.calls/3 waits (for 35 s)"], 1)
    seen.wheel.now = 30 + LINGER_S
    seen.pauses.settle()
    assert seen.places(cause) == ([begun, f"resumed ({cause}), after 30 s"], [], 0)


@pytest.mark.parametrize("look", ["not_ready", "metric"])
def test_whichever_place_is_looked_at_first_ends_all_three(seen: Seen, look: str) -> None:
    seen.pauses.begin("ahead", "a/0", "it waits")
    seen.pauses.end("ahead", "a/0")
    seen.wheel.now = LINGER_S
    assert not (seen.health.not_ready() if look == "not_ready" else seen.metric("ahead"))
    assert seen.places("ahead") == (["paused (ahead): it waits", "resumed (ahead), after 0 s"], [], 0)


def test_many_subjects_of_a_cause_share_its_lines(seen: Seen) -> None:
    for _ in range(100):
        for partition in range(40):
            seen.pauses.begin("ahead", f"a/{partition}", f"a/{partition} waits")
    assert seen.health.not_ready() == ["ahead: a/0 waits, and 39 more (for 0 s)"]
    for partition in range(40):
        assert seen.metric("ahead") == 1
        seen.pauses.end("ahead", f"a/{partition}")
    seen.wheel.now = LINGER_S
    assert seen.health.not_ready() == []
    assert seen.lines() == ["paused (ahead): a/0 waits", "resumed (ahead), after 0 s; it concerned 40 places"]


def test_a_cause_that_comes_and_goes_is_one_pause(seen: Seen) -> None:
    for _ in range(1_000):
        seen.pauses.begin("ahead", "a/0", "it waits")
        seen.wheel.now += 1
        seen.pauses.end("ahead", "a/0")
        seen.wheel.now += LINGER_S - 1
    assert seen.lines() == ["paused (ahead): it waits"]
    seen.wheel.now += 1
    seen.pauses.settle()
    assert seen.lines()[1:] == [f"resumed (ahead), after {999 * LINGER_S + 1:.0f} s"]


def test_causes_are_apart(seen: Seen) -> None:
    seen.pauses.begin("ahead", "a/0", "one waits")
    seen.pauses.begin("broker", "broker", "no broker answers")
    seen.pauses.end("broker", "broker")
    seen.pauses.end("broker", "broker")
    seen.pauses.end("unacknowledged", "outputs")
    seen.wheel.now = LINGER_S
    assert seen.pauses.names() == ["ahead"]
    assert (seen.metric("ahead"), seen.metric("broker")) == (1, 0)


def test_a_cause_of_all_processes_is_logged_by_the_first_alone(seen: Seen) -> None:
    seen.pauses.process(1)
    seen.pauses.begin("broker", "broker", "no broker answers")
    seen.pauses.begin("ahead", "a/0", "it waits")
    assert seen.lines() == ["paused (ahead): it waits"]
    assert seen.metric("broker") == 1
    assert len(seen.health.not_ready()) == 2


def test_a_new_sentence_replaces_the_last_and_control_codes_are_escaped(seen: Seen) -> None:
    seen.pauses.begin("ahead", "a/0", "an hour ahead")
    seen.wheel.now = 3
    seen.pauses.begin("ahead", "a/0", "two hours ahead of \x1b[31m")
    assert seen.health.not_ready() == ["ahead: two hours ahead of \\x1b[31m (for 3 s)"]


def test_threads_may_begin_and_end_pauses_at_the_same_time(seen: Seen) -> None:
    def flap(subject: str) -> None:
        for _ in range(500):
            seen.pauses.begin("ahead", subject, "it waits")
            seen.pauses.end("ahead", subject)

    threads = [Thread(target=flap, args=(f"a/{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen.wheel.now = LINGER_S
    assert seen.pauses.reasons() == []
    assert seen.lines() == ["paused (ahead): it waits", "resumed (ahead), after 0 s; it concerned 4 places"]
