"""A service that could not claim its topics at its start does so once it can, and then another one is noticed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from connectors.kafka.claimant import ClaimHeld
from connectors.kafka.errors import KafkaFailure
from connectors.kafka.topics import create_claims
from flows.runtime.run_folder import INCARNATION, RUN_ID, Run, read_run, state_folder
from flows.service import claiming, late_claim
from flows.service.claiming import Claiming, board_of, claimed
from flows.settings import Settings
from harness.waiting import until
from kafka.clusters import RealCluster


def refuses(*_: object) -> None:
    raise KafkaFailure("not now")


class Service:
    """What `aftercall run` has claimed, or tries to."""

    def __init__(self, settings: Settings, out: Path, name: str) -> None:
        self.out, self.state = out / name, state_folder(out / name)
        self.lost: list[str] = []
        self.defects: list[BaseException] = []
        run: Run = {RUN_ID: name, "finished": False}
        what = Claiming(settings, self.out, "cluster", take_over=False)
        self.context = claimed(what, run, lambda: False, self.lost.append, self.defects.append)


@pytest.fixture
def service(real_broker: RealCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Service]:
    """Services on one set of topics; that of claims is missing, and cannot be made."""
    monkeypatch.setattr(claiming, "create_claims", refuses)
    monkeypatch.setattr(claiming, "_PAUSE_S", 0.0)
    monkeypatch.setattr(late_claim, "AGAIN_S", 0.1)
    monkeypatch.setenv("AFTERCALL_CLAIM_WATCH_S", "600")
    inputs = real_broker.fresh_topic(1, "calls"), real_broker.fresh_topic(1, "outcomes")
    topics = {"calls": inputs[0], "outcomes": inputs[1], "claims": f"{inputs[0]}-claims"}
    settings = Settings(kafka={"brokers": real_broker.bootstrap, "topics": topics})  # type: ignore[arg-type]
    return lambda name: Service(settings, tmp_path, name)


def test_a_claim_that_can_be_made_later_is_made_then(
    service: Callable[[str], Service], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aftercall")
    with ExitStack() as running:
        one = service("one")
        final = running.enter_context(one.context)
        assert INCARNATION not in read_run(one.state)
        assert board_of(one.out).unconfirmed_s() == 0.0
        monkeypatch.setattr(claiming, "create_claims", create_claims)
        until(lambda: read_run(one.state).get(INCARNATION) == 1, lambda: (caplog.text, one.lost))
        until(lambda: "the claim on the topics is taken now" in caplog.text, lambda: caplog.text)
        assert caplog.text.count("no claim can be made") == 1
        assert "paused" not in caplog.text
        with pytest.raises(ClaimHeld, match="another one does, run one in"):
            service("two").context.__enter__()
        assert final()[INCARNATION] == 1
        assert (one.lost, one.defects) == ([], [])
    with service("three").context as final:  # at once, as the first has released it
        assert final()[INCARNATION] == 2


def test_of_two_without_a_claim_only_one_goes_on_once_claims_can_be_made(
    service: Callable[[str], Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = service("one"), service("two")
    with one.context, two.context:
        monkeypatch.setattr(claiming, "create_claims", create_claims)
        until(lambda: bool(one.lost or two.lost), lambda: (one.defects, two.defects))
        assert len(one.lost + two.lost) == 1
        assert "only one service may run on these topics" in (one.lost + two.lost)[0]


def test_a_run_that_ends_without_a_claim_does_not_wait_for_one(service: Callable[[str], Service]) -> None:
    one = service("one")
    with one.context as final:
        assert final().items() <= read_run(one.state).items()
        assert INCARNATION not in final()
    assert not one.lost
