"""Runs a dataflow in Bytewax, so that an error comes out as what it was and nothing else is printed."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from bytewax.dataflow import Dataflow
from bytewax.recovery import InconsistentPartitionsError, MissingPartitionsError, NoPartitionsError, RecoveryConfig
from bytewax.run import cli_main

from flows.run_folder import RunError

STANDARD_ERROR = 2


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
        KeyboardInterrupt: ctrl-C; the run can be resumed.
        BytewaxRuntimeError: a step failed; its `__cause__` is what was raised there.
    """
    with _apart(log), _lazy_collector():
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
        except Exception as error:
            # With one worker ctrl-C is raised within a step, and comes wrapped.
            if any(isinstance(cause, KeyboardInterrupt) for cause in causes(error)):
                raise KeyboardInterrupt from None
            raise


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from, outermost first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


@contextmanager
def _apart(log: Path) -> Iterator[None]:
    """Standard error goes to `log`, except for what Python code writes to `sys.stderr`.

    A file and not a pipe: it is still there when the process dies. A failing block gets it as a note.
    """
    before = sys.stderr
    before.flush()
    terminal = os.dup(STANDARD_ERROR)
    with log.open("w+", encoding="utf-8", errors="replace") as apart:
        os.dup2(apart.fileno(), STANDARD_ERROR)
        if _is_standard_error(before):
            sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1, encoding=before.encoding, errors=before.errors)
        try:
            yield
        except BaseException as error:
            error.add_note(_read(log))
            raise
        finally:
            if sys.stderr is not before:
                sys.stderr.close()
                sys.stderr = before
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
