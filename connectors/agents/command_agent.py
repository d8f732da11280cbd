"""Asks a command: the input of a case on its standard input, the answer on its standard output."""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from typing import IO, Final

from aftercall.errors import UsageError
from aftercall.evals.answer import MAX_ANSWER, Answer, AnswerError, LateAnswerError, answer_of, decoded
from aftercall.evals.asked import environment_of_case
from aftercall.evals.case import EvalCase
from connectors.agents.bodies import read_body

_PIECE: Final = 65536
_NS_PER_MS: Final = 1e6


class CommandAgent:
    """A command that is started for each case, without a shell. What it writes to standard error is dropped."""

    def __init__(self, command: str) -> None:
        """Split the command as a shell would.

        Raises:
            UsageError: it is none.
        """
        try:
            self._arguments = shlex.split(command)
        except ValueError as wrong:
            raise UsageError(f"--agent: must be a command; {command[:80]!r}: {wrong} (correct its quotes)") from None
        if not self._arguments:
            raise UsageError("--agent: must be a URL, module:function or a command; got an empty one (name your agent)")
        self.name: Final = command

    def ask(self, case: EvalCase, timeout_s: float) -> Answer:
        """As `Agent.ask`. In time, the command and what it has started are killed."""
        began = time.perf_counter_ns()
        with tempfile.TemporaryFile() as question:
            question.write(case.question.encode("utf-8", "replace") + b"\n")
            question.seek(0)
            raw = self._run(question, time.monotonic() + timeout_s)
        return answer_of(read_body(decoded(raw).removesuffix("\n")), (time.perf_counter_ns() - began) / _NS_PER_MS)

    def close(self) -> None:
        """Do nothing: each command has ended."""

    def _run(self, question: IO[bytes], until: float) -> bytes:
        try:
            process = subprocess.Popen(  # noqa: S603 - the command is the user's own
                self._arguments,
                stdin=question,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **environment_of_case()},
                start_new_session=True,
            )
        except OSError as wrong:
            raise AnswerError(f"the command cannot be started: {wrong.strerror}") from None
        with process:
            try:
                raw = _read(process, until)
                code = process.wait(max(until - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                raise LateAnswerError from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if code:
            ended = f"by signal {-code}" if code < 0 else f"with code {code}"
            raise AnswerError(f"the command ended {ended} (run it by hand to see what it prints)")
        return raw


def _read(process: subprocess.Popen[bytes], until: float) -> bytes:
    """All that it prints, up to what an answer may have and a byte more."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    pieces: list[bytes] = []
    size = 0
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while size <= MAX_ANSWER + 1:
            if not ready.select(max(until - time.monotonic(), 0.0)):
                raise LateAnswerError
            piece = os.read(process.stdout.fileno(), _PIECE)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
    raise AnswerError(f"the answer has more than {MAX_ANSWER:,} bytes")
