"""Goes on trying to take the claim of a service that runs without one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock
from typing import Final

from connectors.background import OnDefect, background
from connectors.kafka.claimant import Claimant, ClaimHeld, ClaimUnavailable
from connectors.kafka.errors import StoppedWaiting
from flows.runtime.run_folder import INCARNATION, Run, write_run

AGAIN_S: Final = 60.0
"""Seconds between two attempts. Each asks the broker for the topic, and for a transactional id."""
_log = logging.getLogger("aftercall.run")


class LateClaim:
    """Attempts in a thread, until one succeeds or the run ends.

    The service reads and stores meanwhile, as it would without claims. Once the claim is taken its board confirms it,
    and all processes wait for confirmations from then on.
    """

    def __init__(
        self,
        take: Callable[[Callable[[], bool]], Claimant],
        state: Path,
        run: Run,
        on_lost: Callable[[str], None],
        on_defect: OnDefect,
    ) -> None:
        """Begin.

        Args:
            take: takes the claim; it is given what ends that, which raises `StoppedWaiting`.
            state: folder of `run.json`.
            run: what that has.
            on_lost: called with a sentence where another service has the topics, or takes them later.
            on_defect: called where a defect has ended the thread.
        """
        self._take, self._state, self._run, self._on_lost = take, state, run, on_lost
        self._ended, self._lock = Event(), Lock()
        self._claimant: Claimant | None = None
        self._thread = background("aftercall-late-claim", self._try_on, on_defect)
        self._thread.start()

    def final(self) -> Run:
        """What `run.json` has; it does not change any more. An attempt that goes on comes to nothing."""
        self._ended.set()
        with self._lock:
            return self._run

    def release(self) -> None:
        """Let others have the claim, if it was taken."""
        self.final()
        if self._claimant is not None:
            self._claimant.release()

    def _try_on(self) -> None:
        while not self._ended.wait(AGAIN_S):
            try:
                self._adopt(self._take(self._ended.is_set))
            except ClaimUnavailable:
                continue
            except ClaimHeld as held:
                self._on_lost(str(held))
            except StoppedWaiting:
                pass
            return

    def _adopt(self, claimant: Claimant) -> None:
        with self._lock:
            if self._ended.is_set():
                claimant.release()
                return
            claimant.keep(self._on_lost)
            self._claimant, self._run = claimant, self._run | {INCARNATION: claimant.incarnation}
            write_run(self._state, self._run)
        claimant.folder_has_it()
        _log.warning("the claim on the topics is taken now: another service on them will be noticed")
