"""Tool calls and what else calls carry, against a plain recount of the records, however these are cut and resumed."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.decode.structs import ToolCallRecord
from flows.dataflow.snapshot_messages import Row
from flows.dataflow.tool_rows import Used, tool_rows, tool_uses, used_tools
from models.join import Joined
from models.rates import ToolCells
from oracle.direct import Direct, join_rules
from oracle.histories import History
from oracle.order import File
from oracle.records import Rules

HOUR_US = 3_600_000_000
TIMES = {"2025-03-01T23:30:00Z": 1_740_871_800_000_000, "2025-03-02T00:10:00Z": 1_740_874_200_000_000}
DETAILS = (
    "parent_call_id",
    "recommendation_id",
    "propensity",
    "policy_version",
    "rollout",
    "tokens_in",
    "tokens_out",
    "tool_calls",
)


def maybe(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | value


flags = maybe(st.booleans())
documents = st.lists(st.sampled_from([{"id": "d1"}, {"id": "d2", "version": "7"}]), max_size=3)
tools = st.fixed_dictionaries(
    {},
    optional={
        "name": maybe(st.sampled_from(["search", "crm"])),
        "ok": flags,
        "attempts": maybe(st.integers(0, 3)),
        "latency_ms": maybe(st.just(1.5)),
        "error": maybe(st.just("timeout")),
        "stale": flags,
        "partial": flags,
        "empty": flags,
        "items": maybe(st.integers(0, 2) | st.lists(st.just("x"), max_size=3)),
        "data_at": maybe(st.sampled_from(list(TIMES))),
        "documents": maybe(documents),
    },
)
carried = {
    "parent_call_id": maybe(st.sampled_from(["p1", "p2"])),
    "recommendation_id": maybe(st.just("r")),
    "propensity": maybe(st.just(0.25)),
    "policy_version": maybe(st.just("v7")),
    "rollout": maybe(st.sampled_from([{"id": "o", "arm": "canary"}, {"id": "o", "arm": "baseline", "step": 2}])),
    "tokens": maybe(st.just(9)),
    "tokens_in": maybe(st.just(5)),
    "tokens_out": maybe(st.just(6)),
    "tool_calls": maybe(st.integers(0, 3) | st.lists(tools, max_size=4)),
}
calls = st.builds(
    # All records of a call agree on what identifies it.
    lambda number, fields: {
        "call_id": f"c{number}",
        "occurred_at": list(TIMES)[number % 2],
        "task_type": f"t{number % 3}",
        "model": "m",
        **fields,
    },
    st.integers(0, 6),
    st.fixed_dictionaries({}, optional=carried),
)


class Collected(Direct):
    """The join of all shards, with the rows and counts of tools."""

    def _take(self, joined: Joined) -> None:
        super()._take(joined)
        used = used_tools(joined)
        for keep in ("all", "failed", "none"):
            self.rows(keep).extend(tool_rows(used, keep))
        if used:
            self.uses().apply(tool_uses(used))

    def rows(self, keep: str) -> list[Row]:
        made: list[Row] = self.__dict__.setdefault(keep, [])
        return made

    def uses(self) -> ToolCells:
        cells: ToolCells = self.__dict__.setdefault("uses_", ToolCells())
        return cells


def collected(records: list[dict[str, Any]], cuts: list[int], resumes: list[bool]) -> Collected:
    lines = tuple(json.dumps(record).encode() for record in records)
    found = Collected(join_rules(Rules()))
    found.run(History(Rules(), (File("calls", lines), File("outcomes", ()))), cuts, resumes)
    return found


def filled(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each call, each field of the first record that has it; the three counts of tokens are one field.

    `tool_calls` are those of the first record that lists some; `number` is the greatest that records say which are
    the first or give something else.
    """
    known: dict[str, dict[str, Any]] = {}
    in_time = sorted(records, key=lambda record: TIMES[record["occurred_at"]])
    for record in in_time:
        call = known.setdefault(record["call_id"], {})
        given = {name: value for name, value in record.items() if value is not None}
        if call.keys() & {"tokens", "tokens_in", "tokens_out"}:
            given = {name: value for name, value in given.items() if not name.startswith("tokens")}
        said = given.pop("tool_calls", None)
        if said and isinstance(said, list):
            given["tool_calls"] = said
        known_list = "tool_calls" in call and isinstance(said, list)
        if said is not None and given.keys() - call.keys() and not known_list:
            given["number"] = max(len(said) if isinstance(said, list) else said, call.pop("number", 0))
        known[record["call_id"]] = given | call
    return known


def listed(call: dict[str, Any]) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = call.get("tool_calls", [])
    return tools


def details(call: dict[str, Any]) -> tuple[Any, ...]:
    rollout = call.get("rollout", {})
    plain = {name: call.get(name) for name in DETAILS}
    return (
        *(plain[name] for name in DETAILS[:4]),
        *(rollout.get(name) for name in ("id", "arm", "step")),
        *(plain[name] for name in DETAILS[5:7]),
        call.get("number"),
    )


def failed(tool: dict[str, Any]) -> bool:
    return tool.get("error") is not None if tool.get("ok") is None else not tool["ok"]


def row(call: dict[str, Any], position: int, tool: dict[str, Any]) -> Row:
    given = tool.get("documents")
    items = tool.get("items")
    items = len(items) if isinstance(items, list) else items
    return (
        call["call_id"],
        TIMES[call["occurred_at"]],
        position,
        *(tool.get(name) for name in ("name", "ok", "attempts", "latency_ms", "error", "stale", "partial", "empty")),
        len(given) if items is None and given is not None else items,
        TIMES.get(tool.get("data_at") or ""),
        None if given is None else json.dumps(given, separators=(",", ":")),
    )


def is_unwell(tool: dict[str, Any]) -> bool:
    marks = any(tool.get(name) for name in ("stale", "partial", "empty", "error"))
    return marks or failed(tool) or (tool.get("attempts") or 0) > 1 or tool.get("items") in (0, [])


@settings(deadline=None, max_examples=60)
@given(st.lists(calls, max_size=14), st.lists(st.integers(0, 14), max_size=4), st.lists(st.booleans(), max_size=4))
def test_rows_and_rates_of_tools_equal_a_recount_of_the_records(
    records: list[dict[str, Any]], cuts: list[int], resumes: list[bool]
) -> None:
    found = collected(records, cuts, resumes)
    known = filled(records)
    assert {key[0]: stored[12:] for key, stored in found.calls.items()} == {
        call_id: details(call) for call_id, call in known.items()
    }
    every = [(call, place, tool) for call in known.values() for place, tool in enumerate(listed(call), 1)]
    assert Counter(found.rows("all")) == Counter(row(*one) for one in every)
    assert Counter(found.rows("failed")) == Counter(row(*one) for one in every if is_unwell(one[2]))
    assert found.rows("none") == []
    counts: dict[tuple[str, str | None, int], list[int]] = {}
    for call, _, tool in every:
        key = call["task_type"], tool.get("name"), TIMES[call["occurred_at"]] // HOUR_US * HOUR_US
        count = counts.setdefault(key, [0, 0, 0])
        count[0] += 1
        count[1] += failed(tool)
        count[2] += max(0, (tool.get("attempts") or 0) - 1)
    rates = found.uses().frozen().table()
    rows = list(zip(*(column.tolist() for column in rates), strict=True))
    assert rows == sorted(
        ((*key, *count) for key, count in counts.items()), key=lambda made: (made[0], made[1] or "", made[2])
    )


@pytest.mark.parametrize("said", [[], 0, 2, 7])
@pytest.mark.parametrize("error", [None, "late"])  # with an error the record takes the other path through the join
@pytest.mark.parametrize("cuts", [[], [1, 2]])
def test_a_start_record_that_says_only_how_many_keeps_no_place_from_the_tools_of_the_end_record(
    said: Any, error: str | None, cuts: list[int]
) -> None:
    call = {"call_id": "c", "occurred_at": next(iter(TIMES)), "task_type": "t", "model": "m"}
    end = {**call, "tool_calls": [{"name": "search", "error": "timeout"}, {"name": "crm"}], "error": error}
    found = collected([{**call, "tool_calls": said}, end, end], cuts, [])
    assert [(made[2], made[3]) for made in found.rows("all")] == [(1, "search"), (2, "crm")]
    assert (found.tally["completed"], found.tally["duplicates"]) == (1, 1)
    (stored,) = found.calls.values()
    assert stored[-1] == (7 if said == 7 else 2)


@pytest.mark.parametrize("number", [3, [], None])
def test_calls_that_name_no_tools_have_neither_rows_nor_rates(number: Any) -> None:
    call = {"call_id": "c", "occurred_at": next(iter(TIMES)), "task_type": "t", "model": "m", "tool_calls": number}
    found = collected([call], [], [])
    assert found.rows("all") == []
    assert found.uses().state()["names"] == []
    (stored,) = found.calls.values()
    assert stored[-1] == (0 if number == [] else number)


@pytest.mark.parametrize(
    ("errors", "shown"), [("kind", ["timeout", "[text]", None]), ("text", ["timeout", "no jane", None])]
)
def test_rows_show_the_kind_of_an_error_unless_its_text_is_asked_for(errors: str, shown: list[str | None]) -> None:
    tools = [ToolCallRecord(name="search", ok=False, error=error) for error in ("timeout", "no jane", None)]
    rows = tool_rows([Used("c", 0, "t", tools)], "all", errors)
    assert [row[7] for row in rows] == shown
