"""Texts of calls for tests: made ones, and those that a folder keeps, read as users read them."""

from __future__ import annotations

from datetime import UTC
from functools import cache
from pathlib import Path

import duckdb

from aftercall.snapshot import _show_texts
from aftercall.times import DAY_US, to_us
from connectors.texts.call_text import CallText

DAY = 20_000
"""Days since 1970: 2024-10-04."""
NOON = DAY * DAY_US + DAY_US // 2


def call_text(number: int, at: int | None = None, words: str = "a question") -> CallText:
    """The text of the call of this number, which is at noon, later by its number in seconds, or at `at`."""
    when = NOON + number * 1_000_000 if at is None else at
    return CallText(f"call-{number}", when, f"{words} {number}", f"answer {number}", None)


def first_text(number: int) -> CallText:
    """What the first record of a call has: each third one has its answer, too."""
    whole = call_text(number)
    return whole if number % 3 == 0 else whole._replace(output=None)


def rest_text(number: int) -> CallText:
    """What a later record of it has beside that."""
    answer = None if number % 3 == 0 else f"answer {number}"
    return CallText(*call_text(number)[:2], None, answer, f'[{{"name":"tool {number}"}}]', completes=True)


def together(*texts: CallText) -> CallText:
    """The texts of one call, as they are shown."""
    fields = zip(*(text[2:5] for text in texts), strict=True)
    given, answer, tools = (next((one for one in field if one is not None), None) for field in fields)
    return CallText(*texts[0][:2], given, answer, tools)


@cache
def _empty() -> duckdb.DuckDBPyConnection:
    """A connection without tables, which takes 20 ms of CPU; what it reads it has not kept from before."""
    return duckdb.connect(config={"enable_external_file_cache": "false"})


def kept(out: Path) -> list[CallText]:
    """What the view `texts` shows of a run's folder, sorted; repeats would show."""
    connection = _empty()
    _show_texts(connection, out / "texts")
    rows = connection.execute("SELECT * FROM texts ORDER BY ALL").fetchall()
    connection.execute("DROP VIEW temp.texts; DROP VIEW memory.main.texts")
    return [CallText(call_id, to_us(at.replace(tzinfo=UTC)), *texts) for call_id, at, *texts in rows]
