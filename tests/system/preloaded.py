"""Processes that have loaded the pipeline and its libraries already: forks of this one; a start costs 1.5 s of CPU.

    python preloaded.py

Reads a request per line from standard input and answers each with a line; both are JSON. `{"poll": pid}` gives the exit
code of a fork, or null while it runs; anything else starts one and gives its pid: `command` (a module and its
arguments), `cwd`, `env`, `out` and `err` (files that get the standard streams).
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = ("river.drift", "bytewax.run", "confluent_kafka.admin", "typer", "pydantic_settings", "rich.progress")
LOADED = ("flows.replay", "flows.service.run")
"""With all that they import; the commands' own modules and what they look up in the environment come after the fork."""


def load() -> None:
    """Import all of it; a fork copies what its collector of garbage looks at, so what stays for good is left out.

    That takes 0.3 s of CPU from the end of each. DuckDB, which `LOADED` import, is not left out: it prints what of it
    is still there at the end.
    """
    for name in LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()
    for name in LOADED:
        import_module(name)


def become(request: dict[str, Any]) -> None:
    """Take the request's folder, environment and streams, and run its module as `python -m` does.

    Before it a `sitecustomize` from PYTHONPATH, as a start of Python does.
    """
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for number, path in enumerate((os.devnull, request["out"], request["err"])):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    module, *arguments = request["command"]
    sys.argv = [module, *arguments]
    for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if (customize := Path(folder, "sitecustomize.py")).exists():
            runpy.run_path(str(customize))
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    raise SystemExit


def answer(request: dict[str, Any]) -> int | None:
    """Start what is asked for, or look whether it has ended."""
    if "poll" in request:
        ended, status = os.waitpid(request["poll"], os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if ended else None
    pid = os.fork()
    if pid == 0:
        become(request)
    return pid


if __name__ == "__main__":
    load()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)  # noqa: T201 - the answer
