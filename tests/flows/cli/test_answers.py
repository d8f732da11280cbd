"""An error class that the command line has never seen ends with its sentence and its exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import duckdb
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource

from aftercall.errors import ExitCode, UserError
from connectors.snapshot.errors import SnapshotError, naming
from flows.cli.answers import answer
from flows.dataflow.stored_state import Keeping
from flows.runtime.engine import execute
from flows.runtime.state_store import open_store
from flows.service.processes import free_addresses
from models.state import Envelopes
from system.runs import environment

SENTENCE = "gate: the rate must be at least 0.9; got 0.8 (keep the old model)"


class GateError(UserError):
    """A class of a room to come."""

    exit_code = ExitCode.NO


def refuse(value: int) -> int:
    raise GateError(SENTENCE)


@pytest.mark.parametrize("workers", [1, 2])
def test_raised_in_a_step_of_bytewax_it_keeps_its_sentence_and_code(tmp_path: Path, workers: int) -> None:
    flow = Dataflow("flow")
    refused = op.map("refuse", op.input("in", flow, TestingSource([1, 2, 3])), refuse)
    op.output("out", refused, TestingSink([]))
    recovery = open_store(tmp_path, Keeping(Envelopes()), begun=False)
    with pytest.raises(Exception) as caught:
        execute(flow, tmp_path / "log", epoch=timedelta(days=1), recovery=recovery, workers=workers)
    assert answer(caught.value) == (SENTENCE, ExitCode.NO)


PROCESS = """
import sys
from datetime import timedelta
from pathlib import Path
import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource
from aftercall.errors import ExitCode, UserError
from flows.cli.answers import answer
from flows.runtime.engine import execute

class GateError(UserError):
    exit_code = ExitCode.NO

def refuse(value):
    raise GateError("gate: the answer is no")

number, folder, addresses = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(";")
flow = Dataflow("flow")
# One worker of all reads the input; which one is Bytewax's choice.
op.output("out", op.map("refuse", op.input("in", flow, TestingSource(range(9))), refuse), TestingSink([]))
try:
    execute(flow, folder / f"log-{number}", epoch=timedelta(seconds=1), recovery=folder / "recovery",
            process=number, addresses=addresses)
except BaseException as error:
    sentence, code = answer(error)
    print(sentence, flush=True)
    import os
    os._exit(code)
"""


@pytest.mark.slow
def test_of_several_processes_one_ends_with_the_error_and_the_others_with_a_sentence(tmp_path: Path) -> None:
    open_store(tmp_path, Keeping(Envelopes()), begun=False)
    addresses = free_addresses(2)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(number), str(tmp_path), ";".join(addresses)],
            env=environment(),
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        ends = {(process.communicate(timeout=90)[0].splitlines()[-1], process.returncode) for process in processes}
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert ends == {
        ("gate: the answer is no", ExitCode.NO),
        ("another process of this run has ended; this one ends too", ExitCode.FAILED),
    }


def test_a_database_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "live.duckdb"
    file.write_bytes(b"garbage" * 2_000)
    with pytest.raises(SnapshotError) as caught, naming(file), duckdb.connect(str(file)):
        pass
    sentence, code = answer(caught.value) or ("", None)
    assert sentence.startswith(f"snapshot {file}: its database must be usable; ")
    assert sentence.endswith("(check the disk, then give the same command again)")
    assert code is ExitCode.FAILED


def test_a_database_without_memory_asks_for_that(tmp_path: Path) -> None:
    rows = "SELECT range AS n, repeat('x', 100) AS x FROM range(1_000_000)"
    small: dict[str, str | bool | int | float | list[str]] = {"memory_limit": "1MB"}
    with pytest.raises(SnapshotError) as caught, duckdb.connect(config=small) as database, naming(tmp_path):
        database.execute(f"CREATE TABLE t AS {rows}")
    assert "check the memory that is left" in str(caught.value)


def test_an_error_of_the_system_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        (tmp_path / "nowhere" / "file").open()
    remedy = "check the path, its rights and the space on its disk"
    sentence = f"{tmp_path}/nowhere/file: must be usable; No such file or directory ({remedy})"
    assert answer(caught.value) == (sentence, ExitCode.FAILED)


def test_without_room_for_another_open_file_the_limit_is_named() -> None:
    sentence, code = answer(OSError(errno.EMFILE, os.strerror(errno.EMFILE), "a module")) or ("", None)
    assert sentence.startswith("system: must be able to open more files; ")
    assert "ulimit -n" in sentence
    assert code is ExitCode.FAILED


def test_a_defect_has_no_sentence_so_that_its_traceback_is_shown() -> None:
    assert answer(KeyError("missing")) is None
