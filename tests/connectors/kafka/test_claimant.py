"""Claims on a real broker: one holder at a time, whatever comes in between."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from connectors.kafka.claim import Claim, Owner
from connectors.kafka.claim_board import ClaimBoard
from connectors.kafka.claim_log import ClaimLog
from connectors.kafka.claim_writer import ClaimWriter, is_fenced, missing_right
from connectors.kafka.claimant import Claimant, ClaimHeld, ClaimSettings, ClaimUnavailable
from connectors.kafka.client import StoppedWaiting, consumer_config, producer_config
from connectors.kafka.cluster import Cluster as Settings
from harness.waiting import until
from kafka.clusters import RealCluster

KEY = "some topics"


class Hosts:
    """Services on one topic of claims, as if on several hosts."""

    def __init__(self, broker: RealCluster, folder: Path) -> None:
        self.broker, self.folder = broker, folder
        self.topic = broker.fresh_topic(1, "claims", cleanup_policy="compact", message_timestamp_type="LogAppendTime")
        self.settings = Settings(brokers=broker.bootstrap)
        self.lost: dict[str, list[str]] = {}
        self.made: list[Claimant] = []

    def log(self) -> ClaimLog:
        return ClaimLog(consumer_config(self.settings), self.topic, KEY)

    def newest(self) -> Claim | None:
        log = self.log()
        try:
            return log.newest()
        finally:
            log.close()

    def writer(self) -> ClaimWriter:
        return ClaimWriter(producer_config(self.settings), self.topic, KEY)

    def board(self, host: str) -> ClaimBoard:
        return ClaimBoard(self.folder / host)

    def service(
        self,
        host: str,
        run_id: str = "run",
        *,
        stored: int = 0,
        watch_s: float = 600.0,
        take_over: bool = False,
        give_up: Callable[[], bool] = lambda: False,
    ) -> Claimant:
        wanted = ClaimSettings(
            topic=self.topic,
            owner=Owner(run_id, "/data", host),
            stored=stored,
            take_over=take_over,
            watch_s=watch_s,
        )
        board = ClaimBoard(self.folder / host, reset=True)
        self.made.append(Claimant(wanted, self.log(), self.writer(), board, give_up))
        return self.made[-1]

    def until_lost(self, host: str) -> None:
        self.board(host).ask()  # a heartbeat at once
        until(lambda: bool(self.lost[host]), lambda: f"{host} was not ended")

    def running(self, host: str, run_id: str = "run", **more: object) -> Claimant:
        made = self.service(host, run_id, **more)  # type: ignore[arg-type] # whatever `service` takes
        made.take()
        made.keep(self.lost.setdefault(host, []).append)
        made.folder_has_it()
        return made


@pytest.fixture
def hosts(real_broker: RealCluster, tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(real_broker, tmp_path)
    yield made
    for one in made.made:
        with suppress(RuntimeError):  # never started
            one.release()


def test_a_claim_is_kept_and_shows_the_brokers_clock_and_is_released(hosts: Hosts) -> None:
    one = hosts.running("a")
    board = hosts.board("a")
    assert one.incarnation == 1
    assert board.is_clock_watched
    assert abs(board.behind_us()) < 60_000_000
    asked = board.ask()
    until(lambda: board.is_confirmed(asked), board.unconfirmed_s)
    with pytest.raises(ClaimHeld, match=r"another one does, run run in /data on host a"):
        hosts.service("b", stored=1).take()
    one.release()
    newest = hosts.newest()
    assert newest is not None
    assert (newest.released, newest.stored, newest.incarnation) == (True, 1, 1)
    two = hosts.running("b", "another run")
    assert two.incarnation == 2
    assert hosts.lost["a"] == []


def test_a_run_whose_topics_another_one_had_names_it_and_says_that_records_come_again(
    hosts: Hosts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aftercall")
    hosts.running("a").release()
    hosts.running("a", stored=1).release()
    assert "before" not in caplog.text, "it is the same run"
    began = datetime.now(UTC) - timedelta(minutes=1)
    hosts.running("b", "another run").release()
    (line,) = [record.getMessage() for record in caplog.records if "had before by" in record.getMessage()]
    assert "by run run in /data on host a, since " in line
    assert "from the beginning is written again, with the same event_ids" in line
    until_when = re.search(r", until ([^;]+);", line)
    assert until_when is not None
    assert began < datetime.fromisoformat(until_when[1]) < began + timedelta(minutes=2)
    hosts.running("a", stored=2)
    assert "on host b" in caplog.messages[-1]
    assert "from where its folder left off is written again" in caplog.messages[-1]


def test_a_restart_goes_on_at_once_and_ends_the_one_before(hosts: Hosts) -> None:
    hosts.running("a")
    again = hosts.running("a", stored=1)
    assert again.incarnation == 2
    hosts.until_lost("a")
    (sentence,) = hosts.lost["a"]
    assert "another one has taken over, run run in /data on host a" in sentence


def test_a_take_over_ends_the_holder_and_its_folder_is_behind(hosts: Hosts) -> None:
    hosts.running("a")
    other = hosts.running("b", "another run", take_over=True)
    hosts.until_lost("a")
    assert hosts.lost["b"] == []
    other.release()
    copy = hosts.running("c", "another run", stored=2)
    copy.release()
    with pytest.raises(ClaimHeld, match="a copy that fell behind"):
        hosts.service("b", "another run", stored=2).take()
    hosts.running("d", "a third run").release()
    with pytest.raises(ClaimHeld, match="the run by start 3, elsewhere: this is a copy that fell behind"):
        hosts.service("b", "another run", stored=2).take()
    assert hosts.running("b", "another run", stored=2, take_over=True).incarnation == 5


def test_a_defect_that_ends_the_heartbeats_ends_the_service(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = hosts.running("a")
    monkeypatch.setattr(one, "_beat", {}.popitem)
    hosts.until_lost("a")
    (sentence,) = hosts.lost["a"]
    assert "a defect of aftercall" in sentence
    assert "KeyError" in caplog.text


def test_a_writer_that_was_ended_while_the_claim_is_its_own_goes_on(hosts: Hosts) -> None:
    """As where the broker gave up on a transaction of ours, or another start was killed before its claim."""
    one = hosts.running("a")
    for _ in range(2):
        hosts.writer().begin()
        board = hosts.board("a")
        asked = board.ask()
        until(lambda board=board, asked=asked: board.is_confirmed(asked), board.unconfirmed_s)  # type: ignore[misc]
    assert hosts.lost["a"] == []
    newest = hosts.newest()
    assert newest is not None
    assert newest.incarnation == one.incarnation


def test_once_a_writer_has_begun_the_one_before_cannot_write(hosts: Hosts) -> None:
    one, two = hosts.writer(), hosts.writer()
    claim = Claim(run_id="r", incarnation=1, stored=0, folder="/f", host="h", since="now")
    one.begin()
    one.write(claim)
    two.begin()
    with pytest.raises(KafkaException) as refused:
        one.write(claim)
    assert is_fenced(refused.value.args[0])
    assert not one.began
    assert two.write(claim) is not None


def test_a_start_that_is_killed_before_its_folder_has_the_claim_may_start_again(hosts: Hosts) -> None:
    hosts.running("a", stored=3).release()
    killed = hosts.service("a", stored=4)
    killed.take()
    assert hosts.running("a", stored=4).incarnation == killed.incarnation + 1


def test_a_folder_elsewhere_watches_and_goes_on_if_nothing_comes_or_it_is_released_or_stopped(hosts: Hosts) -> None:
    silent = hosts.service("a")
    silent.take()  # and keeps no heartbeats
    with pytest.raises(StoppedWaiting):
        hosts.service("b", give_up=lambda: True).take()
    asked = iter(range(1_000))

    def released_meanwhile() -> bool:
        if next(asked) == 1:
            silent.release()
        return False

    waiting = hosts.service("c", give_up=released_meanwhile)
    waiting.take()
    assert waiting.incarnation == 2
    late = hosts.service("d", "another run", watch_s=1.0)
    late.take()
    assert late.incarnation == 3


def test_where_the_topic_has_the_times_of_producers_the_clock_is_not_watched(hosts: Hosts) -> None:
    hosts.topic = hosts.broker.fresh_topic(3, "claims")
    hosts.running("a")
    assert not hosts.board("a").is_clock_watched


def test_without_its_topic_no_claim_can_be_made(hosts: Hosts) -> None:
    hosts.topic = "nowhere"
    with pytest.raises(ClaimUnavailable):
        hosts.service("a").take()


def test_the_rights_can_be_tried_while_a_service_runs(hosts: Hosts) -> None:
    hosts.running("a")
    assert missing_right(hosts.settings) is None
    board = hosts.board("a")
    asked = board.ask()
    until(lambda: board.is_confirmed(asked), board.unconfirmed_s)
