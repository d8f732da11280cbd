"""Bad input: refused with its reason and counted, while its neighbours come out as if it had not been there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from system.commands import aftercall, call, counts, lines, outcome, table
from system.runs import left, sums_that_fail

pytestmark = pytest.mark.slow  # each starts processes


GOOD = 120
PRIVATE = "what-the-customer-wrote"
ONE_MIB = 1_048_576


class Bad(NamedTuple):
    """A line that is refused."""

    name: str
    file: str
    line: bytes
    reason: str


def text(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode()


def without(record: dict[str, Any], *fields: str) -> bytes:
    return text({name: value for name, value in record.items() if name not in fields})


def bad_call(name: str, slug: str, /, **fields: Any) -> Bad:
    return Bad(name, "calls", text(call(60, call_id="bad", input=PRIVATE, output=PRIVATE, **fields)), slug)


def bad_outcome(name: str, slug: str, /, **fields: Any) -> Bad:
    return Bad(name, "outcomes", text(outcome(60, outcome_id="bad", **fields)), slug)


def deep(levels: int) -> bytes:
    return text(call(60, call_id="bad"))[:-1] + b', "more": ' + b"[" * levels + b"]" * levels + b"}"


SOON = (datetime.now(UTC) + timedelta(hours=20)).isoformat()
BAD = [
    Bad("not UTF-8", "calls", text(call(60, call_id="bad")).replace(b"bad", b"b\xe4d"), "not_utf8"),
    Bad("not JSON", "calls", b"call_id=bad", "not_json"),
    Bad("half an object", "outcomes", b'{"call_id": "bad"', "not_json"),
    Bad("two objects in a line", "outcomes", b"{} {}", "not_json"),
    Bad("not an object", "calls", b"[1, 2]", "not_object"),
    Bad("a number", "outcomes", b"17", "not_object"),
    Bad("no call_id", "calls", without(call(60), "call_id"), "missing_field"),
    Bad("no model", "calls", without(call(60, call_id="bad"), "model"), "missing_field"),
    Bad("no time", "calls", without(call(60, call_id="bad"), "occurred_at"), "missing_field"),
    Bad("no outcome_id", "outcomes", without(outcome(60), "outcome_id"), "missing_field"),
    Bad("no source", "outcomes", without(outcome(60), "source"), "missing_field"),
    bad_call("a number for a model", "wrong_type", model=7),
    bad_call("a text for a number", "wrong_type", cost_usd="0.01"),
    bad_call("true for tokens", "wrong_type", tokens=True),
    bad_outcome("a text for success", "wrong_type", success="yes"),
    bad_call("a model of 257 characters", "too_long", model="m" * 257),
    bad_outcome("a reason over 8 KiB", "too_long", reason="r" * 8_193),
    bad_call("NaN", "not_finite", latency_ms=float("nan")),
    bad_call("infinity", "not_finite", cost_usd=float("inf")),
    bad_call("infinity in an unknown field", "not_finite", future_field={"deep": [float("-inf")]}),
    Bad("1e999", "outcomes", without(outcome(60), "success")[:-1] + b', "score": 1e999}', "not_finite"),
    bad_outcome("a score that is NaN", "not_finite", score=float("nan")),
    bad_call("negative cost", "negative", cost_usd=-0.01),
    bad_call("negative latency", "negative", latency_ms=-1),
    bad_call("a fortune", "out_of_range", cost_usd=1e12),
    bad_call("a time without zone", "bad_time", occurred_at="2025-03-01T01:00:00"),
    bad_call("a time without seconds", "bad_time", occurred_at="2025-03-01T01:00Z"),
    bad_call("a time that is a number", "wrong_type", occurred_at=1_740_787_200),
    bad_outcome("the 30th of February", "bad_time", occurred_at="2025-02-30T01:00:00Z"),
    bad_call("a time in 20 hours", "future", occurred_at=SOON),
    bad_outcome("a time in the year 9000", "future", occurred_at="9000-01-01T00:00:00Z"),
    bad_call("a time before 2000", "before_2000", occurred_at="1999-12-31T23:59:59Z"),
    bad_call("a record over 1 MiB", "too_large", padding="p" * ONE_MIB),
    Bad("JSON nested 100,000 deep", "calls", deep(100_000), "too_deep"),
    Bad("brackets that never close", "outcomes", b"[" * 100_000, "too_deep"),
    bad_call("an outcome among calls", "type_mismatch", type="outcome"),
    bad_outcome("a call among outcomes", "type_mismatch", type="call"),
    Bad("neither success nor score", "outcomes", without(outcome(60, outcome_id="bad"), "success"), "no_verdict"),
    Bad(
        "a retraction of nothing",
        "outcomes",
        without(outcome(60, outcome_id="bad", action="retract"), "source", "success"),
        "empty_retraction",
    ),
    bad_outcome("a reserved source", "reserved_source", source="silence"),
    bad_call("the name of all task types", "reserved_name", task_type="*"),
    bad_call("the name of what is beyond a cap", "reserved_name", task_type="__other__"),
    bad_call("a reserved config", "reserved_name", config="*"),
]


class Runs(NamedTuple):
    """The same good records, alone and among bad ones. `places`: per bad line its number in its file."""

    clean: Path
    dirty: Path
    counts: dict[str, Any]
    places: dict[str, int]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("bad")
    places: dict[str, int] = {}
    files: dict[str, Path] = {}
    for file, records in (("calls", map(call, range(GOOD))), ("outcomes", map(outcome, range(0, GOOD, 2)))):
        good = list(records)
        (folder / f"good-{file}.jsonl").write_bytes(lines(good))
        mixed = list(_mixed(good, [bad for bad in BAD if bad.file == file], places))
        files[file] = folder / f"{file}.jsonl"
        files[file].write_bytes(b"".join(line + b"\n" for line in mixed))
    clean = aftercall(
        folder, *("replay", "--json", "--out", "clean"), *("--calls", "good-calls.jsonl"),
        *("--outcomes", "good-outcomes.jsonl"),
    )  # fmt: skip
    assert counts(clean)["dead_letters"] == 0
    dirty = aftercall(
        folder, *("replay", "--json", "--out", "dirty"), *("--calls", "calls.jsonl"), *("--outcomes", "outcomes.jsonl")
    )
    assert dirty.stderr == ""
    return Runs(folder / "clean", folder / "dirty", counts(dirty), places)


def _mixed(good: list[dict[str, Any]], bad: list[Bad], places: dict[str, int]) -> Iterator[bytes]:
    """Every third line is bad, as long as there are some: all of them have good neighbours."""
    number, waiting = 0, list(bad)
    for record in good:
        number += 1
        yield text(record)
        if number % 3 == 2 and waiting:
            number += 1
            places[waiting[0].name] = number
            yield waiting.pop(0).line
    assert not waiting


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_line_becomes_a_dead_letter_with_its_reason(runs: Runs, bad: Bad) -> None:
    origin = {"file": f"{bad.file}.jsonl", "line": runs.places[bad.name]}
    letters = [json.loads(line) for line in (runs.dirty / "dead_letters.jsonl").read_text().splitlines()]
    (letter,) = [letter for letter in letters if letter["origin"] == origin]
    assert letter["reason"] == bad.reason, letter
    assert (letter["size"], letter["sha256"]) == (len(bad.line), sha256(bad.line).hexdigest())
    assert PRIVATE not in letter["payload"]
    assert PRIVATE not in letter["detail"]
    assert len(letter["payload"].encode()) <= 65_536
    if len(bad.line) < 1_000 and PRIVATE.encode() not in bad.line and bad.reason != "not_utf8":
        assert letter["payload"] == bad.line.decode()
    rows = table(runs.dirty, "SELECT event_id, reason, detail, origin, size, sha256, payload FROM dead_letters")
    fields = ("event_id", "reason", "detail", "size", "sha256", "payload")
    (row,) = [row for row in rows if json.loads(row[3]) == origin]
    assert (*row[:3], *row[4:]) == tuple(letter[name] for name in fields)


def test_every_bad_line_is_counted_and_the_sums_hold(runs: Runs) -> None:
    assert runs.counts["dead_letters"] == sum(runs.counts["dead_letter_reasons"].values()) == len(BAD)
    assert runs.counts["records"] == GOOD + GOOD // 2 + len(BAD)
    assert sums_that_fail(runs.dirty) == []
    ((orphans, late, conflicts),) = table(runs.dirty, "SELECT orphans, late, conflicts FROM pipeline")
    assert (orphans, late, conflicts) == (0, 0, 0)


def test_the_good_neighbours_come_out_as_without_the_bad_lines(runs: Runs) -> None:
    clean, dirty = left(runs.clean), left(runs.dirty)
    assert clean.tables["calls"].total() == GOOD
    for name in ("calls", "statements", "rates", "current_rates", "alerts", "recommendations"):
        assert dirty.tables[name] == clean.tables[name], name
    for name in ("verdicts.jsonl", "alerts.jsonl", "recommendations.jsonl"):
        assert dirty.lines[name] == clean.lines[name], name


def test_bad_lines_do_not_move_the_watermark(runs: Runs) -> None:
    query = (
        "SELECT watermark, calls, outcomes, duplicates, waiting, pending, successes, failures, expired FROM pipeline"
    )
    assert table(runs.dirty, query) == table(runs.clean, query)
    assert table(runs.clean, "SELECT watermark FROM pipeline")[0][0] == datetime(2025, 3, 1, 2, 28)  # noqa: DTZ001 - UTC


def test_payloads_are_kept_where_settings_demand_it(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_bytes(text(call(1, cost_usd=-1, input=PRIVATE)) + b"\n")
    done = aftercall(
        tmp_path, *("replay", "--calls", "calls.jsonl", "--out", "out"), AFTERCALL_PRIVACY__KEEP_PAYLOADS="true"
    )
    assert done.returncode == 0, done.stderr
    assert PRIVATE in (tmp_path / "out" / "dead_letters.jsonl").read_text()
