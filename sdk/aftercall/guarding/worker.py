"""Judges calls on one thread of the background, from a bounded queue; calls wait for nothing."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any, Final

from aftercall.capture.verification import Judgement
from aftercall.contracts.code import RUN_S, TOO_LONG, Function, run
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.results import Finding, in_error, passes
from aftercall.emitter import process
from aftercall.emitter.log import warn_once
from aftercall.guarding.counts import FORKED, REASONS, Counts, GuardStats, Unjudged
from aftercall.guarding.guarded_call import GuardedCall
from aftercall.guarding.judging import Judging, judge_call
from aftercall.guarding.runner import LATE, Run, Runner

_LINGER_S: Final = 0.02
"""So long calls gather before they are judged: a thread that woke for each would cost the agent its cache."""
_AGAIN_S: Final = 1.0
DURABLE: Final = "not run: a durable event waits for no code (take a client without durable)"

Functions = dict[tuple[str, str], Function]
"""Of rules of the user's own code, by the hash of the contract and the rule's id."""
OnViolation = Callable[[Judgement], object]


class Worker:
    """All of a guard that a fork must replace: queue, locks, threads, counts."""

    def __init__(
        self,
        contracts: ContractSet,
        functions: Functions,
        on_violation: OnViolation | None,
        most_calls: int,
        most_bytes: int,
    ) -> None:
        self._contracts, self._functions, self._on_violation = contracts, functions, on_violation
        self._most_calls, self._most_bytes = most_calls, most_bytes
        self._lock = threading.RLock()
        """Reentrant, and held for plain statements only: a finalizer that ends a call may interrupt one."""
        self._open: dict[GuardedCall, None] = {}
        self._bytes = 0
        self._queue: deque[GuardedCall] = deque()
        self._counts = Counts()
        self.judging = threading.RLock()
        """Held while a call is judged, so that a fork can wait for it: libraries have locks of their own."""
        self._runner = Runner()
        self._thread: threading.Thread | None = None
        self._retry_at = 0.0
        self._wake = threading.Lock()
        self._wake.acquire()
        self._asleep = False
        self.closed = False

    # --- the response path ---

    def take(self, call: GuardedCall) -> None:
        """Take a call in that has ended; one that cannot be judged is settled, and counted."""
        with self._lock:
            if call.taken:
                return
            call.taken = True
            self._counts.calls += 1
            why = self._refusal()
            if why is None:
                self._open[call] = None
                self._bytes += call.size
                self._queue.append(call)
            else:
                self._counts.unjudged[why] += 1
        if why is not None:
            call.settle(_unjudged(call, REASONS[why]))
            return
        self._nudge()

    def _nudge(self) -> None:
        if self._thread is None:
            self._start()
        if self._asleep:
            self._asleep = False
            self._hurry()

    def _refusal(self) -> Unjudged | None:
        """What is refused is decided by what waits, never by what the call holds."""
        if self.closed:
            return "closed"
        full = len(self._open) >= self._most_calls or self._bytes >= self._most_bytes
        return "queue_full" if full else None

    def _hurry(self) -> None:
        with suppress(RuntimeError):  # it is awake
            self._wake.release()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._thread = thread = threading.Thread(target=self._run, name="aftercall guard", daemon=True)
        if not self._is_started(thread):
            self._thread = None
            self.give_up("no_thread")

    def _is_started(self, thread: threading.Thread) -> bool:
        if monotonic() < self._retry_at:
            return False
        try:
            process.watch_exit()
            thread.start()
        except Exception as wrong:  # noqa: BLE001  # too many threads, or the interpreter is about to end
            self._retry_at = monotonic() + _AGAIN_S
            if not sys.is_finalizing():
                warn_once("guard thread", "aftercall: no thread can be started (%s): calls are not judged", wrong)
            return False
        return True

    # --- the thread ---

    def _run(self) -> None:
        while not self.closed:
            try:
                if not self._judge_next():
                    self._rest()
                self._runner.watch()
            except Exception as wrong:  # noqa: BLE001  # a defect of ours must not end the thread
                warn_once(f"guard {type(wrong)}", "aftercall: a defect in the guard: %s", type(wrong).__name__)

    def _rest(self) -> None:
        self._asleep = True
        if not self._queue:  # else one was put in before it could see that the thread sleeps
            self._wake.acquire(timeout=RUN_S / 4 if self._runner.busy else -1)
        self._asleep = False
        if not self.closed and not self._runner.busy:
            self._wake.acquire(timeout=_LINGER_S)

    def _judge_next(self) -> bool:
        try:
            call = self._queue.popleft()
        except IndexError:
            return False
        if call in self._open:
            judging = self._judged(call)
            if isinstance(judging, Judging) and judging.to_run:
                self._run_code(call, judging)
            else:
                self._settle(call, judging)
        sleep(0)  # lets a waiting thread of the agent in
        return True

    def _judged(self, call: GuardedCall) -> Judging | Unjudged:
        draft = call.draft
        try:
            assert draft is not None  # noqa: S101  # it is open
            with self.judging:
                call.judging = judge_call(self._contracts, draft)
        except TypeError:  # wrong arguments: the emitter says where, and counts the event as invalid
            return "invalid"
        except Exception as wrong:  # noqa: BLE001  # a defect of ours, or an object that raises
            warn_once(f"guard {type(wrong)}", "aftercall: a call cannot be judged: %s", type(wrong).__name__)
            return "defect"
        return call.judging

    def _run_code(self, call: GuardedCall, judging: Judging) -> None:
        """Run the rules of the user's own code one after the other; the last one settles the call."""
        for at in list(judging.to_run):
            function, record = self._function(judging, at), judging.record

            def work(function: Function = function, record: Any = record) -> Finding:
                return run(function, record)

            def then(finding: Finding, at: int = at) -> None:
                self._put(call, judging, at, finding)

            self._runner.put(Run(work, then, call.late_at - RUN_S))

    def _put(self, call: GuardedCall, judging: Judging, at: int, finding: Finding) -> None:
        with self._lock:
            judging.put(at, finding)
            left = len(judging.to_run)
        if not left:
            self._settle(call, judging)

    def _function(self, judging: Judging, at: int) -> Function:
        one = judging.rule(at)
        return self._functions[one.contract.hash, one.rule.id]

    # --- settling ---

    def settle_now(self, call: GuardedCall) -> None:
        """Settle a call whose event is made now: on this thread where none has it, else with what there is."""
        with self._lock:
            ours, call.taken = not call.taken, True
            if ours:
                self._counts.calls += 1
                self._open[call] = None
                self._bytes += call.size
        judging: Judging | Unjudged = self._judged(call) if ours else call.judging or "late"
        if isinstance(judging, Judging):
            for at in list(judging.to_run):
                finding = self._run_here(judging, at) if call.at_once else in_error(DURABLE if ours else LATE)
                with self._lock:
                    judging.put(at, finding)
        self._settle(call, judging)

    def _run_here(self, judging: Judging, at: int) -> Finding:
        began = monotonic()
        finding = run(self._function(judging, at), judging.record)
        return finding if monotonic() - began <= RUN_S else in_error(TOO_LONG)

    def _settle(self, call: GuardedCall, judging: Judging | Unjudged) -> None:
        """Settle a call, unless another thread has."""
        judgement = judging.judgement() if isinstance(judging, Judging) else _unjudged(call, REASONS[judging])
        with self._lock:
            if call not in self._open:
                return
            del self._open[call]
            self._bytes -= call.size
            if isinstance(judging, Judging):
                self._counts.judged += 1
                self._counts.violations += bool(judgement.violations)
            else:
                self._counts.unjudged[judging] += 1
        call.settle(judgement, judging if isinstance(judging, Judging) else None)
        if judgement.violations and self._on_violation is not None:
            self._report(self._on_violation, judgement, at_once=call.at_once)

    def _report(self, report: OnViolation, judgement: Judgement, *, at_once: bool) -> None:
        def work() -> Finding:
            try:
                report(judgement)
            except BaseException as wrong:  # noqa: BLE001  # the user's
                warn_once("on_violation", "aftercall: on_violation raised %s", type(wrong).__name__)
            return passes("")

        def then(finding: Finding) -> None:
            if finding.result == "error":
                with self._lock:
                    self._counts.uncalled += 1

        if at_once:
            work()
            return
        self._runner.put(Run(work, then, float("inf")))
        self._nudge()

    def give_up(self, why: Unjudged) -> None:
        """Settle all that is open, at once."""
        with self._lock:
            still_open = list(self._open)
        for call in still_open:
            self._settle(call, why)

    # --- the rest ---

    def stats(self) -> GuardStats:
        """All counts of one moment."""
        with self._lock:
            counts = self._counts
            return GuardStats(
                counts.calls,
                counts.judged,
                counts.violations,
                len(self._open),
                self._bytes,
                dict(counts.unjudged),
                self._runner.slow,
                self._runner.left,
                counts.uncalled,
            )

    def flush(self, timeout_s: float) -> bool:
        """Wait until all calls that have ended are judged, and reported; at most so many seconds. Whether they are."""
        deadline = monotonic() + timeout_s
        while self._open or self._runner.busy:
            if monotonic() >= deadline:
                return False
            self._nudge()
            self._hurry()
            sleep(0.005)
        return True

    def close(self, timeout_s: float) -> None:
        """Flush, then settle what is left; calls that end later are not judged."""
        self.flush(timeout_s)
        self.closed = True
        self._hurry()
        self.give_up("closed")
        self._runner.close()

    def forked(self) -> None:
        """In a child: what was open is the parent's. No lock of the parent's threads is taken."""
        for call in list(self._open):
            call.taken = True
            call.settle(_unjudged(call, FORKED))


def _unjudged(call: GuardedCall, reason: str) -> Judgement:
    return Judgement("" if call.draft is None else call.draft.call_id, reason=reason)
