"""A producer that is killed at random moments, again and again, and what of its events is safe by its own count."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from harness.producing import program, run
from harness.waiting import HANG_S

BODY = """
number, prefix = 0, {prefix!r}
while True:
    for _ in range(10):
        emit(f"{{prefix}}-{{number}}", durable={durable})
        number += 1
    sys.stdout.write(f"{{number - emitter.stats().in_memory}}\\n")
    sys.stdout.flush()
    time.sleep(0.002)
"""
LAST = """
emit("last")
while True:
    stats = emitter.stats()
    if stats.acknowledged == stats.adopted + 1:
        break
    time.sleep(0.01)
emitter.close(60)
assert emitter.stats().balanced and not emitter.stats().dropped, emitter.stats()
print(stats.adopted)
"""


def killed(folder: Path, transport: str, kills: int, *, seed: int, durable: bool) -> set[str]:
    """Start and kill producers; the ids that were safe when they said so: in the spool, or acknowledged."""
    chance = random.Random(seed)
    safe: set[str] = set()
    for kill in range(kills):
        body = BODY.format(prefix=f"k{kill}", durable=durable)
        command = [sys.executable, "-c", program(folder, body, transport)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randrange(1, 100))]
            process.kill()
            process.wait(HANG_S)
            lines += process.stdout.read().splitlines(keepends=True)
        said = max(int(line) for line in lines if line.endswith("\n"))
        safe |= {f"k{kill}-{number}" for number in range(said)}
    return safe


def last_one_sends_what_is_left(folder: Path, transport: str) -> int:
    """How many events it found in the spools of those that were killed."""
    done = run(folder, LAST, transport)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return int(done.stdout)


def lost_and_doubled(safe: set[str], arrived: Counter[str]) -> tuple[set[str], int]:
    """Safe events that did not arrive, and how many records there are beyond one for each event."""
    return safe - set(arrived), sum(arrived.values()) - len(arrived)
