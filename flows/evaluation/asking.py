"""Asks an agent many cases at once, each within its time, and scores the answers.

Workers are threads. One whose agent or scoring function does not return in time is given up, as Python cannot end a
thread, and another takes its place; it ends by itself once its agent returns.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from aftercall.evals.answer import Answer, AnswerError, LateAnswerError
from aftercall.evals.asked import ASKED, Asked
from aftercall.evals.case import EvalCase
from aftercall.evals.results import CaseResult
from aftercall.evals.scoring import Scorer, failed
from connectors.agents.agent import Agent

MOST_LEFT: Final = 64
"""So many threads may be held by agents that did not return: with more, nothing is asked."""
_GRACE_S: Final = 0.5
"""So much longer than its time a thread is waited for: agents that can end what they began do so first."""
_TICK_S: Final = 0.05
_MAX_ERROR: Final = 200
_NS_PER_MS: Final = 1e6
STUCK: Final = f"not asked: {MOST_LEFT} earlier calls of the agent have not ended"
TOO_LONG_TO_SCORE: Final = "the score took too long"


class Ask(NamedTuple):
    """A case to ask: for the `repeat`-th time, counted from 0; with an `attempt`, again."""

    case: EvalCase
    repeat: int = 0
    attempt: int = 0


class How(NamedTuple):
    """How cases are asked: so many at once, each for so long, at most so many a second (0: as fast as it goes)."""

    concurrency: int = 4
    timeout_s: float = 60.0
    rate_per_s: float = 0.0
    texts: bool = False
    """Whether answers stay with their results, and the words of exceptions with their errors."""


def ask_all(agent: Agent, scorer: Scorer, tasks: Iterable[Ask], how: How) -> Iterator[CaseResult]:
    """The result of each task, in the order in which they end.

    Args:
        agent: asked from several threads.
        scorer: scores answers on the same threads.
        tasks: read as they are needed.
        how: how many at once, and for how long.
    """
    pool = _Pool(agent, scorer, how)
    try:
        yield from pool.run(tasks)
    finally:
        pool.close()


class _Worker:
    """A thread, and the task that it is in."""

    def __init__(self) -> None:
        self.task: Ask | None = None
        self.began = 0.0
        self.scoring = self.left = False


class _Pool:
    def __init__(self, agent: Agent, scorer: Scorer, how: How) -> None:
        self._agent, self._scorer, self._how = agent, scorer, how
        self._tasks: SimpleQueue[Ask | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[_Worker, CaseResult]] = SimpleQueue()
        self._workers: list[_Worker] = []
        self._left: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._threads: dict[_Worker, threading.Thread] = {}

    def run(self, tasks: Iterable[Ask]) -> Iterator[CaseResult]:
        coming, waiting, next_at = iter(tasks), 0, 0.0
        task = next(coming, None)
        while task is not None or waiting:
            now = time.monotonic()
            while task is not None and waiting < self._how.concurrency and now >= next_at:
                if self._stuck():
                    yield failed(task.case, STUCK, 0.0, task.repeat, task.attempt)
                else:
                    self._start(task, waiting)
                    waiting += 1
                    next_at = max(next_at, now) + self._spacing if self._spacing else 0.0
                task = next(coming, None)
            pause = next_at - now if task is not None and waiting < self._how.concurrency else _TICK_S
            for result in self._ended(min(max(pause, 0.0), _TICK_S)):
                waiting -= 1
                yield result

    @property
    def _spacing(self) -> float:
        return 1 / self._how.rate_per_s if self._how.rate_per_s else 0.0

    def close(self) -> None:
        """Let the threads end; those that are in a call end when it returns."""
        for _ in self._workers:
            self._tasks.put(None)

    def _stuck(self) -> bool:
        self._left = [thread for thread in self._left if thread.is_alive()]
        return len(self._left) >= MOST_LEFT

    def _start(self, task: Ask, waiting: int) -> None:
        self._tasks.put(task)
        if len(self._workers) <= waiting:
            worker = _Worker()
            thread = threading.Thread(target=self._work, args=(worker,), name="aftercall eval", daemon=True)
            self._workers.append(worker)
            self._threads[worker] = thread
            thread.start()

    def _ended(self, within_s: float) -> Iterator[CaseResult]:
        """Results that are there, at least one if it comes within so long; and of what took too long."""
        try:
            worker, result = self._done.get(timeout=within_s)
            while True:
                if not worker.left:
                    yield result
                worker, result = self._done.get_nowait()
        except Empty:
            yield from self._overdue()

    def _overdue(self) -> Iterator[CaseResult]:
        until = time.monotonic() - self._how.timeout_s - _GRACE_S
        for worker in list(self._workers):
            with self._lock:  # of a worker that ends just now, the result counts
                task = worker.task
                if task is None or worker.began > until:
                    continue
                worker.left = True
            self._workers.remove(worker)
            self._left.append(self._threads.pop(worker))
            yield self._late(task, scoring=worker.scoring)

    def _late(self, task: Ask, *, scoring: bool) -> CaseResult:
        took_ms = self._how.timeout_s * 1e3
        if scoring:
            return _unscored(task, TOO_LONG_TO_SCORE, took_ms)
        return failed(task.case, self._too_long, took_ms, task.repeat, task.attempt)

    @property
    def _too_long(self) -> str:
        return f"took more than {self._how.timeout_s:g} s"

    # --- on the threads ---

    def _work(self, worker: _Worker) -> None:
        while not worker.left:
            task = self._tasks.get()
            if task is None:
                return
            worker.began, worker.task, worker.scoring = time.monotonic(), task, False
            result = self._result(worker, task)
            with self._lock:
                worker.task = None
                if worker.left:
                    return
                self._done.put((worker, result))

    def _result(self, worker: _Worker, task: Ask) -> CaseResult:
        ASKED.set(Asked(task.case.id, task.repeat, task.attempt))
        began = time.perf_counter_ns()
        try:
            answer = self._agent.ask(task.case, self._how.timeout_s)
        except LateAnswerError:
            error = self._too_long
        except AnswerError as wrong:
            error = str(wrong)
        except BaseException as wrong:  # noqa: BLE001  # the agent's; `SystemExit` too
            error = self._words("the agent", wrong)
        else:
            worker.scoring = True
            return self._scored(task, answer)
        took_ms = (time.perf_counter_ns() - began) / _NS_PER_MS
        return failed(task.case, error, took_ms, task.repeat, task.attempt)

    def _scored(self, task: Ask, answer: Answer) -> CaseResult:
        try:
            result = self._scorer.score(task.case, answer, task.repeat, task.attempt)
        except BaseException as wrong:  # noqa: BLE001  # a defect of ours must not hold a case back
            return _unscored(task, f"a defect of aftercall, please report it: {self._words('it', wrong)}", 0.0)
        return replace(result, answer=answer) if self._how.texts else result

    def _words(self, who: str, wrong: BaseException) -> str:
        """The class of an exception; its words only where texts are kept, as they may quote the question."""
        words = f"{who} raised {type(wrong).__name__}"
        return f"{words}: {wrong}"[:_MAX_ERROR] if self._how.texts else words


def _unscored(task: Ask, error: str, took_ms: float) -> CaseResult:
    return replace(failed(task.case, error, took_ms, task.repeat, task.attempt), score=None)
