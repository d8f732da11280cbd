"""Processes that have loaded the pipeline and its libraries already: forks of this one; a start costs 2 s of CPU.

    python preloaded.py

Reads a request per line from standard input, runs it in a fork, and answers with its exit code. A request is JSON:
`command` (a module and its arguments), `cwd`, `env`, `out` and `err` (files that get the standard streams).
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from importlib import import_module
from typing import Any

LOADED = ("flows.replay", "bytewax.run", "confluent_kafka.admin", "typer")
"""With all that they import; the commands' own modules and what they look up in the environment come after the fork."""


def become(request: dict[str, Any]) -> None:
    """Take the request's folder, environment and streams, and run its module as `python -m` does."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for number, path in enumerate((os.devnull, request["out"], request["err"])):
        opened = os.open(path, os.O_WRONLY if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    module, *arguments = request["command"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def serve() -> None:
    """Until standard input ends."""
    for name in LOADED:
        import_module(name)
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            become(json.loads(line))
            return
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    serve()
