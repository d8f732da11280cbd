"""Takes the claim on a service's topics, keeps it by heartbeats, and notices when another service has taken it.

Why so: docs/decisions/0017-a-claim-on-the-topics.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Event
from typing import Final

from confluent_kafka import KafkaException

from connectors.background import background
from connectors.kafka.claim import BEAT_S, Claim, Owner, judge
from connectors.kafka.claim_board import ClaimBoard
from connectors.kafka.claim_log import ClaimLog
from connectors.kafka.claim_writer import ClaimWriter, is_fenced
from connectors.kafka.errors import KafkaFailure, StoppedWaiting, displayable, is_fatal
from connectors.pauses import PAUSES

WATCH_S: Final = 60.0
"""How long a start watches for a heartbeat of another service."""
_UNABLE_S: Final = 60.0
"""How long a broker that answers may fail to take a claim until a start goes on without."""
_LOOK_S: Final = 0.5
_POLL_S: Final = 0.02
_FENCED_S: Final = 1.0
"""A service that has begun to write may take this long to write its claim."""
_RELEASE_S: Final = 3.0
_RETRY_S: Final = 1.0
_ATTEMPTS: Final = 5
_log = logging.getLogger("aftercall.kafka")


class ClaimHeld(KafkaFailure):
    """Another service has the topics, or the folder is a copy that fell behind; the sentence has which."""


class ClaimUnavailable(KafkaFailure):
    """Claims cannot be made on this broker, by this user; the sentence has the reason."""


@dataclass(frozen=True, kw_only=True)
class ClaimSettings:
    """Who claims what, and how.

    Attributes:
        topic: of claims.
        owner: who claims.
        stored: the incarnation on the disk of the folder; 0 for a new one.
        take_over: take the claim from any other service.
        watch_s: seconds to watch for another service.
        late: the service runs already, without a claim: what the claim waits for is no pause of it.
    """

    topic: str
    owner: Owner
    stored: int
    take_over: bool = False
    watch_s: float = WATCH_S
    late: bool = False


class Claimant:
    """The claim of one run. `take` first; then `keep` starts the thread that alone writes from then on."""

    def __init__(
        self,
        settings: ClaimSettings,
        log: ClaimLog,
        writer: ClaimWriter,
        board: ClaimBoard,
        give_up: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`give_up`: called while waiting, several times a second; True ends it with `StoppedWaiting`."""
        self._settings, self._log, self._writer, self._board = settings, log, writer, board
        self._give_up, self._monotonic = give_up, monotonic
        self._claim: Claim | None = None
        self._stop, self._thread = Event(), background("aftercall-claim", self._run, self._on_defect)
        self._on_lost: Callable[[str], None] = lambda _sentence: None
        self._failing = ""

    @property
    def incarnation(self) -> int:
        """Of the claim that was taken."""
        return 0 if self._claim is None else self._claim.incarnation

    # --- taking it ---------------------------------------------------------------------------------------------------

    def take(self) -> None:
        """Take the claim; up to a second, and `watch_s` where another service may be running.

        Raises:
            ClaimHeld: another service has it, or the folder is behind.
            ClaimUnavailable: the broker refuses this user, or answers and has failed to take a claim for a minute.
            StoppedWaiting: `give_up` returned True.
        """
        try:
            for _ in range(_ATTEMPTS):
                if self._attempt():
                    return
        finally:
            self._log.close()
            PAUSES.end("claim", self._settings.topic, at_once=True)
        raise ClaimHeld(
            f"{self._settings.topic}: a claim must be written before another service begins; others begin again and "
            "again (start one service only)"
        )

    def _attempt(self) -> bool:
        """Look who has the claim, and take it; returns whether it was taken, or another began at the same time."""
        failed_s = 0.0
        while True:
            self._check(self._read())
            began = self._monotonic()
            try:
                return self._take()
            except KafkaException as wrong:
                self._pause(wrong)
                failed_s += self._monotonic() - began
                if failed_s > _UNABLE_S:
                    reason = displayable(wrong.args[0].str())
                    raise ClaimUnavailable(f"{reason}, for {failed_s:.0f} s") from None

    def _read(self) -> Claim | None:
        while True:
            try:
                return self._log.newest()
            except KafkaException as wrong:
                self._pause(wrong)

    def _pause(self, wrong: KafkaException) -> None:
        """Wait a moment before what has failed is tried again.

        Raises:
            ClaimUnavailable: it cannot succeed.
            StoppedWaiting: `give_up` returned True.
        """
        error = wrong.args[0]
        reason = displayable(error.str())
        if is_fatal(error) and not is_fenced(error):
            raise ClaimUnavailable(reason) from None
        self._show(f"the claim on the topics cannot be taken ({reason}); retrying")
        self._wait(_LOOK_S)

    def _show(self, pause: str) -> None:
        if not self._settings.late:
            PAUSES.begin("claim", self._settings.topic, pause)

    def _wait(self, seconds: float) -> None:
        if self._give_up():
            raise StoppedWaiting("stopped before the claim on the topics was taken")
        self._stop.wait(seconds)

    def _check(self, newest: Claim | None) -> None:
        """Return once the claim may be taken, as far as can be seen.

        Raises:
            ClaimHeld: it may not.
        """
        found = judge(newest, self._settings.owner, self._settings.stored)
        if newest is None or self._settings.take_over or found in {"free", "ours"}:
            return
        if found == "behind":
            owner = self._settings.owner
            holder = newest.holder if newest.run_id == owner.run_id else "elsewhere"
            raise ClaimHeld(
                f"{owner.folder}: must be the folder in which its run went on last; it was last used by start "
                f"{self._settings.stored} of these topics, and the run by start {newest.last_stored(owner.run_id)}, "
                f"{holder}: this is a copy that fell behind (start that one, or give --take-over to go on from this "
                "one)"
            )
        self._watch(newest)

    def _watch(self, holder: Claim) -> None:
        """Look for heartbeats. Time in which the broker does not answer, or this process stands still, is no time.

        Raises:
            ClaimHeld: there was one.
        """
        at, left_s = self._log.at, self._settings.watch_s
        sentence = (
            f"another service has claimed these topics and not released them, {holder.holder}; watching for "
            f"{left_s:.0f} s whether it still runs (--take-over does not wait)"
        )
        while left_s > 0:
            self._show(sentence)
            began = self._monotonic()
            self._wait(_LOOK_S)
            try:
                newest = self._log.newest()
            except KafkaException as wrong:
                self._pause(wrong)
                continue
            if self._log.at != at and newest is not None:
                if newest.released:
                    return
                raise ClaimHeld(
                    f"{self._settings.topic}: only one service may run on these topics; another one does, "
                    f"{newest.holder} (stop it first, or give --take-over to end it)"
                )
            left_s -= min(self._monotonic() - began, 4 * _LOOK_S)

    def _take(self) -> bool:
        """Begin to write, and take the claim unless it changed meanwhile; returns whether it was taken."""
        settings, at = self._settings, self._log.at
        self._writer.begin()
        newest = self._log.newest()
        is_free = judge(newest, settings.owner, settings.stored) in {"free", "ours"}
        if self._log.at != at and not (is_free or settings.take_over):
            return False
        claim = Claim(
            run_id=settings.owner.run_id,
            incarnation=max(settings.stored, 0 if newest is None else newest.incarnation) + 1,
            stored=settings.stored,
            folder=settings.owner.folder,
            host=settings.owner.host,
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            earlier={} if newest is None else newest.earlier_than(settings.owner.run_id),
        )
        try:
            self._write(claim, self._board.now_ns())
        except KafkaException as wrong:
            if is_fenced(wrong.args[0]):
                return False
            raise
        self._claim = claim
        self._report_other(newest)
        return True

    def _report_other(self, before: Claim | None) -> None:
        """Log which other run had the topics: its outputs are there, and come again."""
        if before is None or before.run_id == self._settings.owner.run_id:
            return
        _log.warning(
            "%s: the topics were had before by %s, until %s; this is another run, so what it reads %s is written "
            "again, with the same event_ids",
            self._settings.topic,
            before.holder,
            datetime.fromtimestamp(self._log.written_s, UTC).isoformat(timespec="seconds"),
            "from where its folder left off" if self._settings.stored else "from the beginning",
        )

    # --- keeping it --------------------------------------------------------------------------------------------------

    def keep(self, on_lost: Callable[[str], None]) -> None:
        """Start the heartbeats. `on_lost` is called from their thread, with a sentence, once another has the claim."""
        self._on_lost = on_lost
        self._thread.start()

    def folder_has_it(self) -> None:
        """The folder has the claim's incarnation on its disk: record that, and return once it is recorded.

        Raises:
            StoppedWaiting: `give_up` returned True.
        """
        if self._claim is not None:
            self._claim = replace(self._claim, stored=self._claim.incarnation)
        asked = self._board.ask()
        while not self._board.is_confirmed(asked):
            self._wait(_POLL_S)

    def release(self) -> None:
        """Stop the heartbeats and let others have the claim at once; logs a warning where that fails."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_RELEASE_S)
        if self._claim is None or self._thread.is_alive() or not self._writer.began:
            return
        try:
            self._writer.write(replace(self._claim, released=True), _RELEASE_S)
        except KafkaException as wrong:
            _log.warning(
                "%s: the claim was not released; a start elsewhere will watch for %.0f s (%s)",
                self._settings.topic, self._settings.watch_s, displayable(wrong.args[0].str()),
            )  # fmt: skip

    def _run(self) -> None:
        """Write heartbeats until `release`, or another has the claim."""
        beat_s = self._monotonic()
        while not self._stop.wait(_POLL_S):
            due_s = beat_s + (_RETRY_S if self._failing else BEAT_S)
            if self._monotonic() >= due_s or (self._board.is_asked() and not self._failing):
                beat_s = self._monotonic()
                lost = self._beat()
                if lost is not None:
                    self._on_lost(
                        f"{self._settings.topic}: only one service may run on these topics; another one has taken "
                        f"over, {lost.holder}, so this one has ended and stored nothing since (run one of them)"
                    )
                    return

    def _on_defect(self, _error: BaseException) -> None:
        """Report the claim as lost: nothing could be stored any more, as each epoch waits for its confirmation."""
        self._on_lost(
            f"{self._settings.topic}: the claim must be confirmed every {BEAT_S:g} s; a defect of aftercall has "
            "ended that, so this run has ended (its traceback is in the log; the same command resumes)"
        )

    def _beat(self) -> Claim | None:
        """Write a heartbeat; returns who else has the claim, None as long as that is us or the broker is away."""
        began, claim = self._board.now_ns(), self._claim  # in this order, for `folder_has_it`
        assert claim is not None  # noqa: S101 - `take` has set it
        try:
            if not self._writer.began:
                newest = self._regain(claim)
                if newest is not None:
                    return newest
            self._write(claim, began)
        except KafkaException as wrong:
            error = wrong.args[0]
            if is_fenced(error):
                self._stop.wait(_FENCED_S)
                self._log.close()
                with suppress(KafkaException):
                    return self._other(claim)
            if not self._failing:
                self._failing = displayable(error.str())
                _log.warning("%s: a heartbeat was not acknowledged (%s); retrying", self._settings.topic, self._failing)
        else:
            if self._failing:
                _log.warning("%s: heartbeats are acknowledged again", self._settings.topic)
            self._failing = ""
        return None

    def _regain(self, claim: Claim) -> Claim | None:
        """Begin to write again after a failure, unless another has the claim: returns that one."""
        newest = self._other(claim)
        if newest is None:
            self._writer.begin()
            newest = self._other(claim)
        self._log.close()
        return newest

    def _other(self, claim: Claim) -> Claim | None:
        newest = self._log.newest()
        return None if newest is None or newest.same_start(claim) else newest

    def _write(self, claim: Claim, began: int) -> None:
        appended_us = self._writer.write(claim)
        self._board.confirm(began)
        if appended_us is not None:
            self._board.sight(appended_us)
