"""An emitter in a process of its own that does what it is asked for, and nothing by itself: for the state machine.

The process is forked, and forks; it cannot start threads, so events move only in a `step`. Its transport keeps what it
accepts until a test answers it.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from aftercall.emitter import Emitter, process
from aftercall.transports.transport import Message, Receipt
from harness.emitting import call, left_in
from harness.waiting import HANG_S

QUEUE_EVENTS = 8
SPOOL_BYTES = 8192


class Answered:
    """A transport that answers the oldest it holds, as a test says."""

    at_once = False
    destination = "answered"

    def __init__(self) -> None:
        self.room = 5
        self.raises = False
        self.held: dict[int, str] = {}
        self.ready: list[Receipt] = []

    def open(self) -> None:
        pass

    def offer(self, messages: Sequence[tuple[int, Message]]) -> int:
        if self.raises:
            raise OSError("away")
        taken = messages[: max(0, self.room - len(self.held))]
        self.held.update((number, message.key) for number, message in taken)
        return len(taken)

    def answer(self, count: int, how: Any) -> list[str]:
        answered = list(self.held.items())[:count]
        for number, _ in answered:
            del self.held[number]
            self.ready.append(Receipt(number, how))
        return [key for _, key in answered]

    def receipts(self, wait_s: float) -> list[Receipt]:
        ready, self.ready = self.ready, []
        return ready

    def close(self, timeout_s: float) -> None:
        self.held, self.ready = {}, []

    def abandon(self) -> object:
        self.held, self.ready = {}, []
        return None


class Unripe:
    """An event that is not ready until the test says so of all there are."""

    waiting: ClassVar[list[Unripe]] = []

    def __init__(self, call_id: str) -> None:
        self._call_id, self.ripe = call_id, False
        self.waiting.append(self)

    def is_ready(self) -> bool:
        return self.ripe

    def __call__(self) -> dict[str, Any]:
        return call(self._call_id)


class Actor:
    """The test's side of one process."""

    def __init__(self, line: socket.socket, pid: int) -> None:
        self._line, self.pid = line, pid
        line.settimeout(HANG_S)

    @classmethod
    def start(cls, folder: Path) -> Actor:
        ours, theirs = socket.socketpair()
        if (pid := os.fork()) == 0:
            ours.close()
            _begin(folder, theirs)
        theirs.close()
        return cls(ours, pid)

    def ask(self, command: str, *values: Any) -> Any:
        self._line.sendall(json.dumps([command, *values]).encode() + b"\n")
        return self._reply()

    def _reply(self) -> Any:
        text = b""
        while not text.endswith(b"\n"):
            more = self._line.recv(1 << 16)
            assert more, "the process has ended"
            text += more
        return json.loads(text)

    def fork(self) -> Actor:
        """Its child, with all that it has."""
        ours, theirs = socket.socketpair()
        self._line.sendall(b'["fork"]\n')
        self._reply()
        socket.send_fds(self._line, [b"x"], [theirs.fileno()])
        theirs.close()
        return Actor(ours, self._reply())

    def end(self, *, kill: bool) -> None:
        """Kill it, or have it close its emitter and exit; returns once its files are closed."""
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        else:
            self._line.sendall(b'["end"]\n')
        deadline = time.monotonic() + HANG_S
        while _lives(self.pid):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        self._line.close()


def _lives(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return False
    except ChildProcessError:
        pass
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def _begin(folder: Path, line: socket.socket) -> NoReturn:
    """In the forked process: an emitter, no threads, and a loop of commands."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        process._emitters.clear()  # those of the test's process
        threading.Thread.start = _refuse  # type: ignore[method-assign, assignment]  # of this process alone
        emitter = Emitter(Answered(), spool=folder, queue_events=QUEUE_EVENTS, spool_bytes=SPOOL_BYTES)
        _serve(emitter, line)
        code = 0
    finally:
        os._exit(code)


def _refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _serve(emitter: Emitter, line: socket.socket) -> None:
    while text := _read(line):
        command, *values = json.loads(text)
        if command == "end":
            emitter.close(0.0)
            return
        if command == "fork":
            line = _forked(line)
            continue
        reply = _do(emitter, command, *values)
        line.sendall(json.dumps(reply).encode() + b"\n")


def _read(line: socket.socket) -> bytes:
    text = b""
    while not text.endswith(b"\n"):
        if not (more := line.recv(1)):
            return b""
        text += more
    return text


def _forked(line: socket.socket) -> socket.socket:
    """The line to the test: a new one in the child."""
    line.sendall(b"1\n")
    _, (handle, *_), *_ = socket.recv_fds(line, 1, 1)
    with socket.socket(fileno=handle) as theirs:
        if (pid := os.fork()) == 0:
            line.close()
            return theirs.dup()
        line.sendall(b"%d\n" % pid)
    return line


def _do(emitter: Emitter, command: str, *values: Any) -> Any:
    transport = emitter._transport
    sender = emitter._sender
    assert isinstance(transport, Answered)
    match command:
        case "emit":
            kind, ids = values
            for call_id in ids:
                build = Unripe(call_id) if kind == "unripe" else functools.partial(_event, kind, call_id)
                emitter.emit("calls", call_id, build, durable=kind == "durable")
        case "ripen":
            for one in Unripe.waiting:
                one.ripe = True
        case "answer":
            return transport.answer(*values)
        case "room":
            transport.room = values[0]
        case "step" | "raise":
            transport.raises = command == "raise"
            sender.delivery.not_before = 0.0
            sender.step(0.0)
            transport.raises = False
        case "adopt":
            sender.store.adopt()
        case "flush":
            return emitter.flush(0.0)
        case "look":
            return _seen(emitter, transport)
    return None


def _event(kind: str, call_id: str) -> dict[str, Any] | None:
    if kind == "skipped":
        return None
    return call(call_id, model=1) if kind == "invalid" else call(call_id)


def _seen(emitter: Emitter, transport: Answered) -> dict[str, Any]:
    """What it says, and what is really there."""
    sender = emitter._sender
    rows = sum(len(reader.spool.read(0, 10**6, 10**9)) for reader in sender.store.sources())
    return {
        "stats": emitter.stats()._asdict(),
        "balanced": emitter.stats().balanced,
        "queue": len(sender.queue) + len(sender.queue._unripe),
        "rows": rows,
        "out": len(transport.held) + len(transport.ready),
    }


def spools(folder: Path) -> int:
    """How many files there are."""
    return len(left_in(folder))
