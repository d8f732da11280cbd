"""Carries one call from its end to its judgement; in the emitter it stands in for what makes the event."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from aftercall.capture.draft import Draft
from aftercall.capture.verification import Judgement, Verification
from aftercall.guarding.counts import NEVER_ENDED

if TYPE_CHECKING:
    from aftercall.guarding.guard import Guard
    from aftercall.guarding.judging import Judging

LATE_S: Final = 10.0
"""So long the event of a call waits for its checks, at most; then it goes with those that there are."""


class GuardedCall:
    """A call under contracts: its event is ready once it is judged, or late.

    Attributes:
        judgement: what came of it; None until it is judged.
        draft: the call, from its end until its event is made.
        size: about what it holds, in bytes.
        kept: whether it has an event.
        at_once: whether that is made on the caller's thread, in a test.
        taken: whether a worker has it, or had it.
        late_at: by the monotonic clock; from then on its event waits no longer.
        judging: what was found up to now; None until a thread has begun.
    """

    __slots__ = (
        "_event",
        "_guard",
        "_verification",
        "at_once",
        "draft",
        "judgement",
        "judging",
        "kept",
        "late_at",
        "size",
        "taken",
    )

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._event: dict[str, Any] | None = None
        self.late_at = 0.0
        self._verification: Verification | None = None
        self.judgement: Judgement | None = None
        self.draft: Draft | None = None
        self.judging: Judging | None = None
        self.size = 0
        self.kept = self.at_once = self.taken = False

    @property
    def verification(self) -> Verification:
        """The future of the judgement, made when it is first asked for: most tracked functions never are.

        It does not hold the call, so that one which never runs is seen to be freed.
        """
        with _lock:
            if self._verification is None:
                self._verification = Verification(self.judgement)
            return self._verification

    def ended(self, draft: Draft, *, kept: bool) -> None:
        """Take the call over; on the response path."""
        sink = draft.capturing.sink
        self.draft, self.kept = draft, kept
        self.late_at = monotonic() + LATE_S
        try:
            self.size = draft.size()
            if kept and sink is not None:
                self.at_once = sink.at_once
                # First: an event that is to be on disk, or in a test's list, when this returns is judged within.
                sink.emit("calls", draft.call_id, self, self.size, place=draft.place)
        finally:
            self._guard.worker.take(self)

    def is_ready(self) -> bool:
        """Whether the event may be made."""
        return self.judgement is not None or monotonic() > self.late_at

    def __call__(self) -> dict[str, Any]:
        """Make the event, with the checks that there are."""
        if self.judgement is None:
            self._guard.worker.settle_now(self)
        event, self._event = self._event, None
        if event is None:
            from aftercall.capture.event import call_event

            assert self.draft is not None  # noqa: S101  # it has ended
            event = call_event(self.draft)
        self.draft = None
        return event

    def settle(self, judgement: Judgement, judging: Judging | None = None) -> None:
        """Bring the judgement, and what it is of; from now on the event can be made."""
        if self.kept and self.draft is not None and judging is not None:
            self._event = judging.event_with_checks(text=self.draft.capturing.text)
        if self._event is not None or not self.kept:
            self.draft = None
        self.judging = None
        self._bring(judgement)

    def _bring(self, judgement: Judgement) -> None:
        with _lock:
            if self.judgement is None:
                self.judgement = judgement
            verification = self._verification
        if verification is not None:
            verification.settle(self.judgement)

    def refused(self, reason: str) -> None:
        """Bring the judgement of a call that is none of a worker's."""
        self.taken = True
        self._bring(Judgement("", reason=reason))

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be at its end
            if not self.taken:
                self._bring(Judgement("", reason=NEVER_ENDED))


_lock = RLock()
"""Of all calls: it is held for assignments. Reentrant, as a finalizer may end a call amid another's."""


def _replace_lock() -> None:
    global _lock  # noqa: PLW0603  # in a forked child its owner may be a thread that is not there
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_lock)
