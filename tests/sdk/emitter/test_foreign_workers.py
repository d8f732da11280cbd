"""Behind gunicorn --preload, Celery's prefork pool and RQ's work horse everything arrives, without a hook."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import pytest

from harness.foreign import SDK
from harness.foreign_workers import workers_python
from harness.producing import arrived, program
from harness.waiting import HANG_S, until

pytestmark = [pytest.mark.slow]

WEB: Final = """
emit("at import")
def app(environ, start_response):
    emit(environ["PATH_INFO"].strip("/"))
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
CELERY: Final = """
from celery import Celery
app = Celery("work", broker="filesystem://")
where = folder / "broker"
where.mkdir(exist_ok=True)
app.conf.broker_transport_options = {
    "data_folder_in": str(where), "data_folder_out": str(where), "control_folder": str(folder / "control")}
@app.task(name="work.answer")
def answer(call_id):
    emit(call_id)
"""
RQ: Final = """
emit("at import")
def answer(call_id):
    emit(call_id, durable=True)
"""
RQ_MAIN: Final = """
import sys, threading
from fakeredis import TcpFakeServer
server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
from redis import Redis
from rq import Queue, Worker
import work
redis = Redis(port=server.server_address[1])
queue = Queue(connection=redis)
for number in range(6):
    queue.enqueue(work.answer, f"job {number}")
class Here(Worker):
    def _set_ip_address(self, connection):
        self.ip_address = "here"  # of the commands that RQ uses, the fake server lacks CLIENT INFO alone
Here([queue], connection=redis).work(burst=True)
server.shutdown()
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workers_python(tmp_path_factory.getbasetemp().parent)


@contextmanager
def running(folder: Path, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process group that ends with the block."""
    environment = {"PYTHONPATH": f"{SDK}{os.pathsep}{folder}", "PATH": os.environ["PATH"], "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(HANG_S)


def said(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(HANG_S)


def test_behind_gunicorn_with_preload_every_request_arrives_and_the_event_of_the_import_once(
    tmp_path: Path, python: Path
) -> None:
    (tmp_path / "web.py").write_text(program(tmp_path, WEB, flush_at_exit_s=60))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bound = f"127.0.0.1:{port}"
    with running(tmp_path, python, "-m", "gunicorn", "--preload", "-w", "2", "-b", bound, "web:app") as server:
        until(lambda: "Booting worker" in said(tmp_path), lambda: said(tmp_path))
        for number in range(10):
            connection = HTTPConnection("127.0.0.1", port, timeout=HANG_S)
            connection.request("GET", f"/{number}")
            assert connection.getresponse().read() == b"ok"
            connection.close()
        end(server)
    until(lambda: len(arrived(tmp_path)) == 11, lambda: (arrived(tmp_path), said(tmp_path)))
    assert arrived(tmp_path) == dict.fromkeys([*map(str, range(10)), "at import"], 1)


def test_behind_the_prefork_pool_of_celery_every_task_arrives(tmp_path: Path, python: Path) -> None:
    (tmp_path / "work.py").write_text(program(tmp_path, CELERY, flush_at_exit_s=60))
    worker = ("-m", "celery", "-A", "work", "worker", "--pool=prefork", "-c", "2", "--loglevel=INFO")
    with running(tmp_path, python, *worker, "--without-gossip", "--without-mingle", "--without-heartbeat") as server:
        until(lambda: "ready" in said(tmp_path), lambda: said(tmp_path))
        send = "import work\nfor number in range(6): work.answer.delay(f'task {number}')"
        environment = {"PYTHONPATH": f"{SDK}{os.pathsep}{tmp_path}", "HOME": str(tmp_path)}
        subprocess.run([python, "-c", send], check=True, cwd=tmp_path, env=environment, timeout=HANG_S)
        until(lambda: len(arrived(tmp_path)) == 6, lambda: (arrived(tmp_path), said(tmp_path)))
        end(server)
    assert arrived(tmp_path) == {f"task {number}": 1 for number in range(6)}


def test_what_rqs_work_horse_emits_durably_arrives_though_it_ends_by_os_exit(tmp_path: Path, python: Path) -> None:
    (tmp_path / "work.py").write_text(program(tmp_path, RQ, flush_at_exit_s=60))
    (tmp_path / "main.py").write_text(RQ_MAIN)
    with running(tmp_path, python, tmp_path / "main.py") as worker:
        until(lambda: worker.poll() is not None or "Error" in said(tmp_path), lambda: said(tmp_path))
        assert worker.poll() == 0, said(tmp_path)
    after = 'emit("after")\nimport time\nwhile not emitter.stats().adopted: time.sleep(0.01)'
    if len(arrived(tmp_path)) < 7:
        (tmp_path / "after.py").write_text(program(tmp_path, after, flush_at_exit_s=60))
        with running(tmp_path, python, tmp_path / "after.py") as process:
            assert process.wait(HANG_S) == 0, said(tmp_path)
    # A work horse that ends between the write and its acknowledgement leaves an event that is sent once more.
    assert set(arrived(tmp_path)) - {"after"} == {"at import", *(f"job {number}" for number in range(6))}
