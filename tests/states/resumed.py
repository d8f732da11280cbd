"""Whether a run went on where it was."""

from __future__ import annotations

from pathlib import Path

from system.commands import table


def assert_went_on(out: Path, began: float) -> None:
    """It read some records, and did not read the others again: dead letters keep the hour in which they were read."""
    query = f"SELECT count(*) FROM dead_letters WHERE received_at {{}} make_timestamp({int(began * 1e6)})"
    before, after = (table(out, query.format(sign))[0][0] for sign in ("<", ">="))
    assert before > 0, "it has read again what it had read before it was killed"
    assert after > 0, "it has read nothing more"
