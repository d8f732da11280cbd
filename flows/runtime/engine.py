"""Runs a dataflow in Bytewax, so that an error comes out as what it was and nothing else is printed."""

from __future__ import annotations

import gc
import inspect
import io
import os
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TextIO, cast

from bytewax.dataflow import Dataflow
from bytewax.recovery import InconsistentPartitionsError, MissingPartitionsError, NoPartitionsError, RecoveryConfig
from bytewax.run import cli_main

from aftercall.errors import UserError, causes
from flows.runtime.failures import Failures
from flows.runtime.run_folder import RunError

STANDARD_ERROR = 2
_STORE_FAILED: Final = re.compile(r"SqliteFailure\(.*?(?P<why>[^\"(]+)\"?\)+$", re.MULTILINE)


class LeftAlone(UserError):  # noqa: N818 - what happened to us, no error of ours
    """This process had to end because another one of its cluster did, which says why."""


def execute(
    flow: Dataflow,
    log: Path,
    *,
    epoch: timedelta,
    recovery: Path,
    workers: int = 1,
    process: int = 0,
    addresses: Sequence[str] = (),
) -> None:
    """Run `flow` to the end of its input.

    Args:
        flow: the dataflow.
        log: takes what Bytewax prints, such as the panic of a thread whose step raised; gone if that was nothing.
        epoch: how often state is stored.
        recovery: folder of the recovery store.
        workers: threads, >= 1.
        process: the number of this process among those at `addresses`.
        addresses: `host:port` of each process of the cluster; none where this one is alone.

    Raises:
        RunError: the recovery store is not as the run left it.
        LeftAlone: another process of the cluster is gone.
        KeyboardInterrupt: ctrl-C; the run can be resumed.
        BytewaxRuntimeError: a step failed; its `__cause__` is what was raised there.
    """
    failures = Failures()
    failures.watch(flow)
    with _apart(log, among_others=bool(addresses)), _lazy_collector():
        try:
            cli_main(
                flow,
                workers_per_process=workers,
                process_id=process if addresses else None,
                addresses=list(addresses) or None,
                epoch_interval=epoch,
                recovery_config=RecoveryConfig(recovery),
            )
        except (InconsistentPartitionsError, MissingPartitionsError, NoPartitionsError) as error:
            message = f"{recovery}: must be as the run left it; {error} (restore it, or choose an empty --out)"
            raise RunError(message) from None
        except BaseException as error:
            # With one worker ctrl-C is raised within a step, and comes wrapped.
            if any(isinstance(cause, KeyboardInterrupt) for cause in causes(error)):
                raise KeyboardInterrupt from None
            told = _panicked(f"{error}\n{_read(log)}", recovery) or failures.first
            if told is None and addresses and _is_panic(error):
                told = LeftAlone("another process of this run is gone; this one ends too")
            if told is None:
                raise
            raise told from None
        if failures.first is not None:
            raise failures.first


def _panicked(printed: str, recovery: Path) -> RunError | None:
    """What a panic means that no step is to blame for; None where nobody knows."""
    store = _STORE_FAILED.search(printed)
    if store is None:
        return None
    return RunError(
        f"{recovery}: the state must be stored at each epoch's end; {store['why']} (check the disk, then give the same "
        "command again: the run goes on at its last epoch)"
    )


def _is_panic(error: BaseException) -> bool:
    """Whether a thread of Bytewax panicked: its exception has no class that can be imported, and is no `Exception`."""
    ours = (Exception, KeyboardInterrupt, SystemExit, GeneratorExit)
    return not isinstance(error, ours) or "panicked at" in str(error)


class _Terminal(io.TextIOWrapper):
    """Standard error for Python code. What Bytewax writes to it from a thread of its own goes where its panics go."""

    def write(self, text: str) -> int:
        frame = inspect.currentframe()
        if frame is not None and frame.f_back is None:  # nobody of ours called
            return os.write(STANDARD_ERROR, text.encode(errors="replace"))
        return super().write(text)


class Ours:
    """A stream without what threads of Bytewax write to it: among several processes some panic once it has returned."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, unless a thread says it that Python has not started, directly or by way of `sys.excepthook`."""
        if isinstance(threading.current_thread(), threading._DummyThread):  # noqa: SLF001 - there is no public way
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _apart(log: Path, *, among_others: bool) -> Iterator[None]:
    """Standard error goes to `log`, except for what Python code writes to `sys.stderr`.

    A file and not a pipe: it is still there when the process dies. A failing block gets it as a note. Where it fails as
    one of several processes, Bytewax stays unheard from then on.
    """
    before = sys.stderr
    before.flush()
    # A hook of the command line would stand between a thread of Bytewax and what it prints.
    hook, sys.excepthook = sys.excepthook, sys.__excepthook__
    terminal = os.dup(STANDARD_ERROR)
    with log.open("w+", encoding="utf-8", errors="replace") as apart:
        os.dup2(apart.fileno(), STANDARD_ERROR)
        if _is_standard_error(before):
            sys.stderr = _Terminal(
                os.fdopen(os.dup(terminal), "wb", 0), before.encoding, before.errors, write_through=True
            )
        try:
            yield
        except BaseException as error:
            error.add_note(_read(log))
            if among_others:
                before = cast("TextIO", Ours(before))
            raise
        finally:
            if isinstance(sys.stderr, _Terminal):
                sys.stderr.close()
            sys.stderr, sys.excepthook = before, hook
            os.dup2(terminal, STANDARD_ERROR)
            os.close(terminal)
    printed = _read(log)
    if printed:
        sys.stderr.write(printed)
    log.unlink()


def _is_standard_error(stream: object) -> bool:
    with suppress(OSError, AttributeError, ValueError):
        return bool(stream.fileno() == STANDARD_ERROR)  # type: ignore[attr-defined]
    return False


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def _lazy_collector() -> Iterator[None]:
    """Decoded records hold no cycles, and looking through them for some all the time would cost a tenth."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
