"""Runs a command of `aftercall` in this process."""

from __future__ import annotations

import json
import sys
from typing import Any, NamedTuple

import pytest

from flows.cli.main import main


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)


def ended(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    """Run `aftercall ...` to its end.

    Lines that librdkafka writes meanwhile are left out, such as `%3|1796083743.585|FAIL|...`: clients of other tests in
    this process log into its standard error from threads of their own.
    """
    monkeypatch.setattr(sys, "argv", ["aftercall", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capfd.readouterr()
    own = [line for line in err.splitlines(keepends=True) if not line.startswith("%")]
    return Ended(int(end.value.code or 0), out, "".join(own))
