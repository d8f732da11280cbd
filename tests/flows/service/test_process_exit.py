"""A process of a service ends with its exit code while a client of Kafka still has a request in flight."""

from __future__ import annotations

import subprocess
import sys

import pytest

from system.runs import environment

REQUEST_IN_FLIGHT = """
import ctypes, sys
from threading import Event, Thread
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient
from aftercall.errors import UsageError
from flows.service.process_exit import exits_at_once

libc = ctypes.CDLL(None)
libc.__cxa_atexit(libc.sleep, ctypes.c_void_p(5), None)  # it may take that long to end the libraries
asked = Event()

def ask():
    admin = AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    answer = admin.describe_topics(TopicCollection(["calls"]), request_timeout=0.5)["calls"]
    asked.set()
    answer.result()

Thread(target=ask, daemon=True).start()
asked.wait()
with exits_at_once():
    print("printed")
    exec(sys.argv[1])
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("pass", 0),
        ("raise UsageError('wrong')", 2),
        ("raise KeyboardInterrupt", 130),
        ("1 / 0", 1),
    ],
)
def test_the_answer_of_a_broker_to_a_process_that_has_ended_crashes_nothing(end: str, code: int) -> None:
    """The answer, here that there was none in time, comes after the interpreter is gone, on a thread of librdkafka."""
    done = subprocess.run(
        [sys.executable, "-c", REQUEST_IN_FLIGHT, end], env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (code, "printed\n"), done.stderr
    assert done.stderr.count("Traceback") == bool(code), done.stderr
