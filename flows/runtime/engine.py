"""Runs a dataflow in Bytewax and raises the original error of a failed step.

Bytewax wraps such an error, or turns it into a panic, and prints more about it on standard error. That output goes to a
log file instead.
"""

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

from aftercall.errors import StateError, UserError, causes
from connectors.own_files import open_own
from flows.runtime.failures import Failures
from flows.runtime.run_folder import RunError

STANDARD_ERROR = 2
_STORE_FAILED: Final = re.compile(r"SqliteFailure\(.*?(?P<why>[^\"(]+)\"?\)+$", re.MULTILINE)
_NOT_OPENED: Final = "can't open recovery DB"


class PeerLost(UserError):  # noqa: N818 - the error is in the other process
    """This process ends because another process of its cluster has ended; that one reports the cause."""


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
        log: file for what Bytewax prints, such as the panic of a thread whose step raised; removed if it stays empty.
        epoch: interval at which state is stored.
        recovery: folder of the recovery store.
        workers: threads, >= 1.
        process: the number of this process among those at `addresses`.
        addresses: `host:port` of each process of the cluster; empty for a single process.

    Raises:
        RunError: the recovery store is not as the run left it.
        PeerLost: another process of the cluster has ended.
        KeyboardInterrupt: ctrl-C; the run can be resumed.
        BytewaxRuntimeError: a step failed; its `__cause__` is the original error.
    """
    failures = Failures()
    failures.watch(flow)
    with _stderr_to(log, has_peers=bool(addresses)), _lazy_collector():
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
            # With one worker ctrl-C is raised within a step, and arrives wrapped.
            if any(isinstance(cause, KeyboardInterrupt) for cause in causes(error)):
                raise KeyboardInterrupt from None
            origin = _store_failure(f"{error}\n{_read(log)}", recovery) or _unopened(error, recovery) or failures.first
            if origin is None and addresses and _is_panic(error):
                origin = PeerLost("another process of this run has ended; this one ends too")
            if origin is None:
                raise
            raise _named(origin, recovery) from None
        if failures.first is not None:
            raise _named(failures.first, recovery)


def _store_failure(printed: str, recovery: Path) -> RunError | None:
    """The error for a panic of the recovery store, which no step has caused; None for any other output."""
    store = _STORE_FAILED.search(printed)
    if store is None:
        return None
    return RunError(
        f"{recovery}: the state must be stored at each epoch's end; {store['why']} (check the disk, then give the same "
        "command again: the run resumes at its last epoch)"
    )


def _unopened(error: BaseException, recovery: Path) -> RunError | None:
    """The error for a recovery store that cannot be opened, once the run has begun; None for any other."""
    said = [str(cause) for cause in causes(error)]
    if not any(_NOT_OPENED in one for one in said):
        return None
    return RunError(
        f"{recovery}: the run must be able to open its state; {said[-1]} (check its rights, the disk, and how many "
        "files may be open, ulimit -n; then give the same command again)"
    )


def _named(error: BaseException, recovery: Path) -> BaseException:
    """An error of stored state names the store; a step does not know where its state lies."""
    return StateError(f"{recovery}: {error}") if type(error) is StateError else error


def _is_panic(error: BaseException) -> bool:
    """Whether a thread of Bytewax panicked: its exception class cannot be imported, and is not an `Exception`."""
    python_errors = (Exception, KeyboardInterrupt, SystemExit, GeneratorExit)
    return not isinstance(error, python_errors) or "panicked at" in str(error)


class _Terminal(io.TextIOWrapper):
    """Standard error for Python code; what a thread of Bytewax writes to it goes to the log, as its panics do."""

    def write(self, text: str) -> int:
        frame = inspect.currentframe()
        if frame is not None and frame.f_back is None:  # no Python code is the caller
            return os.write(STANDARD_ERROR, text.encode(errors="replace"))
        return super().write(text)


class PythonThreadsOnly:
    """A stream that drops what threads of Bytewax write: in a cluster some panic after Bytewax has returned."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, unless the caller is a thread that Python has not started (also by way of `sys.excepthook`)."""
        if isinstance(threading.current_thread(), threading._DummyThread):  # noqa: SLF001 - no public name exists
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _stderr_to(log: Path, *, has_peers: bool) -> Iterator[None]:
    """Redirect standard error to `log`, except for what Python code writes to `sys.stderr`.

    A file and not a pipe, because it survives the process. If the block raises, its error gets the log as a note, and
    with `has_peers` the output of Bytewax's threads is dropped from then on.
    """
    before = sys.stderr
    before.flush()
    # A hook of the command line would reformat what a thread of Bytewax prints.
    hook, sys.excepthook = sys.excepthook, sys.__excepthook__
    terminal = os.dup(STANDARD_ERROR)
    with open_own(log, "w+", encoding="utf-8", errors="replace") as log_file:
        os.dup2(log_file.fileno(), STANDARD_ERROR)
        if _is_standard_error(before):
            sys.stderr = _Terminal(
                os.fdopen(os.dup(terminal), "wb", 0), before.encoding, before.errors, write_through=True
            )
        try:
            yield
        except BaseException as error:
            error.add_note(_read(log))
            if has_peers:
                before = cast("TextIO", PythonThreadsOnly(before))
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
    """Make the garbage collector run rarely: decoded records hold no cycles, and scanning them costs a tenth of CPU."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not frozen:  # else another has frozen what it is for it to thaw
            gc.unfreeze()
