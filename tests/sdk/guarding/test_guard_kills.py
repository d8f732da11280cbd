"""A producer with a guard that is killed: what was not in memory arrives, with its checks (I2)."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from harness.guarding import SHORT, written
from harness.producing import arrived, program, run
from harness.waiting import HANG_S

KILLS = 3
BODY = """
import aftercall
client = aftercall.Client(file=folder, spool=folder / "spool")
guard = aftercall.guard({contract!r}, client, model="m")
number = 0
while True:
    for _ in range(10):
        guard.call("a b c d", str, call_id=f"{prefix}-{{number}}")
        number += 1
    sys.stdout.write(f"{{number - client.stats().in_memory}}\\n")
    sys.stdout.flush()
    time.sleep(0.002)
"""
LAST = 'emit("last")\nassert emitter.flush(60)\nemitter.close(60)\nassert emitter.stats().balanced'


@pytest.mark.slow
def test_a_kill_loses_at_most_what_was_in_memory(tmp_path: Path) -> None:
    chance = random.Random(5)
    contract = written(tmp_path, SHORT)
    safe = 0
    for kill in range(KILLS):
        source = program(tmp_path, BODY.format(contract=str(contract), prefix=f"k{kill}"))
        with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(chance.randrange(20, 120))]
            process.kill()
            process.wait(HANG_S)
            lines += process.stdout.read().splitlines(keepends=True)
        safe += max(int(line) for line in lines if line.endswith("\n"))
    done = run(tmp_path, LAST)
    assert (done.returncode, done.stderr) == (0, "")
    calls = arrived(tmp_path)
    assert len(calls) - 1 >= safe > 0
    sent = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    results = [call["checks"][0]["result"] for call in sent if "checks" in call]  # a busy machine leaves some out
    assert set(results) == {"fail"}
