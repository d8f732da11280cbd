"""Claims the topics for a service before it begins, and ends it where another service has taken them."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Final

from aftercall.errors import ExitCode
from aftercall.printable import printable
from connectors.background import OnDefect
from connectors.kafka.claim import Owner, claim_key
from connectors.kafka.claim_board import ClaimBoard
from connectors.kafka.claim_log import ClaimLog
from connectors.kafka.claim_writer import ClaimWriter
from connectors.kafka.claimant import WATCH_S, Claimant, ClaimSettings, ClaimUnavailable
from connectors.kafka.client import Cluster, KafkaFailure, StoppedWaiting, consumer_config, producer_config, reach
from connectors.kafka.topics import create_claims, unwatched_clock
from flows.runtime.kafka import inputs, output_topics
from flows.runtime.run_folder import INCARNATION, RUN_ID, Run, write_run
from flows.service import late_claim
from flows.service.health import Health
from flows.service.late_claim import LateClaim
from flows.settings import Settings

_WATCH: Final = "AFTERCALL_CLAIM_WATCH_S"
"""Internal, for tests: an environment variable with the seconds that a start watches for another service."""
_ATTEMPTS: Final = 3
_PAUSE_S: Final = 1.0
_log = logging.getLogger("aftercall.run")


def board_of(out: Path, *, reset: bool = False) -> ClaimBoard:
    """The board of a run's claim, in its state folder; `reset`: of a run that begins."""
    return ClaimBoard(out / "state" / "claim", reset=reset)


@dataclass(frozen=True)
class Claiming:
    """Which topics are claimed, and by which run.

    Attributes:
        settings: those of the run.
        out: its output folder.
        cluster_id: of the broker.
        take_over: take the topics from any other service.
    """

    settings: Settings
    out: Path
    cluster_id: str
    take_over: bool


@contextmanager
def claimed(
    claiming: Claiming,
    run: Run,
    give_up: Callable[[], bool],
    on_lost: Callable[[str], None],
    on_defect: OnDefect,
) -> Iterator[Callable[[], Run]]:
    """Claim the topics, and release them at the end.

    Where no claim can be made the service begins without, with a warning, and a claim is tried again each minute.

    Args:
        claiming: what to claim.
        run: what `run.json` has, with its `RUN_ID`.
        give_up: called while it waits; True ends it.
        on_lost: called with a sentence, from another thread, once another service has taken the topics.
        on_defect: called from such a thread where a defect has ended it.

    Yields:
        A function to be called when the run has ended: gives what `run.json` has, which stays so.

    Raises:
        ClaimHeld: another service has them, or the folder fell behind.
        StoppedWaiting: `give_up` returned True.
    """
    settings, state = claiming.settings, claiming.out / "state"
    board = board_of(claiming.out, reset=True)
    try:
        claimant = _taken(claiming, run, board, give_up)
    except ClaimUnavailable as wrong:
        _log.warning(
            "%s: no claim can be made (%s); trying again every %.0f s, and until then two services on these topics "
            "would not notice each other (`aftercall topics create` makes the topic, docs/operations.md has the "
            "rights)",
            settings.kafka.topics.claims, wrong, late_claim.AGAIN_S,
        )  # fmt: skip
        write_run(state, run)
        _report_clock(settings, board)
        late = LateClaim(partial(_taken, claiming, run, board, late=True), state, run, on_lost, on_defect)
        try:
            yield late.final
        finally:
            late.release()
        return
    try:
        claimant.keep(on_lost)
        run = run | {INCARNATION: claimant.incarnation}
        write_run(state, run)
        claimant.folder_has_it()
        _report_clock(settings, board)
        yield lambda: run
    finally:
        claimant.release()


def alive_until(health: Health, stopping: Callable[[], bool]) -> Callable[[], bool]:
    """`stopping`, which shows whenever it is called that the process is alive."""

    def give_up() -> bool:
        health.heartbeat.beat()
        return stopping()

    return give_up


def _report_clock(settings: Settings, board: ClaimBoard) -> None:
    """Log a warning if it would not be noticed that this host's clock is behind."""
    if not board.is_clock_watched:
        sentence = unwatched_clock(settings.kafka.cluster(), inputs(settings.kafka))
        if sentence is not None:
            _log.warning("%s", sentence)


def end_at_once(sentence: str) -> None:
    """End this process as a kill would, with the sentence: nothing more may be stored or sent."""
    sys.stderr.write(f"aftercall: {printable(sentence)}\n")
    sys.stderr.flush()
    os._exit(ExitCode.FAILED)


def _ensure_topic(cluster: Cluster, topic: str, give_up: Callable[[], bool]) -> None:
    """Create the topic of claims if it is missing; waits for a broker.

    Raises:
        ClaimUnavailable: it is missing, and cannot be created.
        StoppedWaiting: `give_up` returned True.
    """
    reason = "it is missing"
    for _ in range(_ATTEMPTS):
        try:
            if not reach(cluster, outputs=[topic], timeout_s=inf, give_up=give_up).missing:
                return
            create_claims(cluster, topic)
            _log.info("%s: created, for the claims of services on their topics", topic)
        except KafkaFailure as wrong:
            if give_up():
                raise StoppedWaiting("stopped before the claim on the topics was taken") from None
            reason = str(wrong)
        time.sleep(_PAUSE_S)
    raise ClaimUnavailable(reason)


def _taken(
    claiming: Claiming, run: Run, board: ClaimBoard, give_up: Callable[[], bool], *, late: bool = False
) -> Claimant:
    """The claim, taken; `late`: while the service runs already. Errors as in `Claimant.take`."""
    kafka = claiming.settings.kafka
    cluster, topic = kafka.cluster(), kafka.topics.claims
    _ensure_topic(cluster, topic, give_up)
    key = claim_key(claiming.cluster_id, kafka.group_id, (*inputs(kafka), *output_topics(kafka)))
    wanted = ClaimSettings(
        topic=topic,
        owner=Owner(str(run[RUN_ID]), str(claiming.out.resolve()), socket.gethostname()),
        stored=int(run.get(INCARNATION, 0)),
        take_over=claiming.take_over,
        watch_s=float(os.environ.get(_WATCH, WATCH_S)),
        late=late,
    )
    log = ClaimLog(consumer_config(cluster), topic, key)
    writer = ClaimWriter(producer_config(cluster), topic, key)
    claimant = Claimant(wanted, log, writer, board, give_up)
    claimant.take()
    return claimant
