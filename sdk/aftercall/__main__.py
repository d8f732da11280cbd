"""Runs the pipeline's command line where the pipeline is installed: the console script."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

from aftercall.errors import ExitCode

NO_PIPELINE = (
    "aftercall: only the producer SDK is installed here, and commands need the pipeline"
    " (get a checkout of aftercall and run `make setup` in it, or use the container image)"
)


def main() -> None:
    """Run `flows.cli.main:main`; without the pipeline, print how to get it and exit with code 2."""
    # Imported by name: a producer's environment has no `flows`, and the SDK may not import it.
    if find_spec("flows") is None or find_spec("flows.cli.main") is None:
        print(NO_PIPELINE, file=sys.stderr)  # noqa: T201 - the command line's own voice
        raise SystemExit(ExitCode.USAGE)
    try:
        import_module("flows.cli.main").main()
    except KeyboardInterrupt:  # before a command has begun
        raise SystemExit(ExitCode.INTERRUPTED) from None


if __name__ == "__main__":
    main()
