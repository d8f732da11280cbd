"""What sessions say about calls, in columns, equals what comes of it record by record, however batches are cut."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aftercall.times import MINUTE_US, format_time
from connectors.decode.decoder import Decoder
from connectors.files.index import index
from connectors.files.lane import FileLane
from flows.dataflow.gathering import Gathering
from flows.dataflow.session_shards import to_join, to_sessions
from flows.dataflow.shards import SHARDS, to_shards
from flows.settings import Settings
from flows.settings.for_models import join_rules, session_rules
from models.join import Join, Joined
from models.sessions import SessionPart, SessionShard
from suites.steps import STEPS
from suites.traffic import START_US

SETTINGS = Settings.model_validate(
    {"verdict": {"source": {"judge": {"same_id": "revises"}, "panel": {"combine": "majority"}}}}
)
SOURCES = ("judge", "user", "panel")
LENGTH_US = 600 * MINUTE_US


def _records(draw: Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Calls in few sessions; votes on both: by many sources and authors, edited, repeated, taken back, of all calls."""
    calls, outcomes = list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(40):
        call: dict[str, Any] = {
            "call_id": f"c-{number}",
            "task_type": "t",
            "model": "m",
            "session_id": f"s-{number % 8}",
        }
        call |= {"occurred_at": START_US + draw.randrange(LENGTH_US), "error": "x" if number == 9 else None}
        calls.append(call)
    for number in range(120):
        at, about = START_US + draw.randrange(LENGTH_US), {"session_id": f"s-{draw.randrange(8)}"}
        vote: dict[str, Any] = {"outcome_id": f"o-{number}", "source": draw.choice(SOURCES)}
        if number % 5 == 1:
            about = {"call_id": f"c-{draw.randrange(40)}"}
        vote |= about | {"occurred_at": at, "success": draw.random() < 0.5}
        if vote["source"] == "panel":
            vote["author"] = draw.choice("abc")
        if number % 7 == 2 and "session_id" in about:
            vote["scope"] = "all"
        outcomes.append(vote)
        again = at + draw.randrange(20 * MINUTE_US)
        if number % 6 == 3:
            outcomes.append(vote | {"occurred_at": again, "success": not vote["success"]})
        if number % 4 == 0:
            outcomes.append(vote | {"arrives": at + draw.randrange(90 * MINUTE_US), "source": draw.choice(SOURCES)})
        if number % 17 == 5:
            kept = {name: vote[name] for name in ("source", *about)}
            back = {"outcome_id": f"{number}-back", "action": "retract", "retracts": vote["outcome_id"]}
            outcomes.append(kept | back | {"occurred_at": again})
    return calls, outcomes


def _joined(folder: Path, size: int) -> list[Joined]:
    """What leaves the join, where batches have so many records."""
    paths = [folder / "calls.jsonl", folder / "outcomes.jsonl"]
    files = index(paths[:1], paths[1:], folder)
    lane = FileLane(files, Decoder(now_us=START_US + 2 * LENGTH_US, max_future_skew_us=0), size, None, None)
    # So few ids that some come again when they are forgotten, maybe of another source.
    sessions = {shard: SessionShard(replace(session_rules(SETTINGS), most_ids=3)) for shard in SHARDS}
    joins: Any = {shard: (Gathering(len(SHARDS)), Join(join_rules(SETTINGS))) for shard in SHARDS}
    found = list[Joined]()
    for _ in range(0, len(files), size):
        for batch in lane.next_batch():
            messages: list[Any] = list(to_shards(batch))
            for shard, part in to_sessions(batch):
                assert isinstance(part, SessionPart)
                messages += to_join((shard, sessions[shard].process(part)))
            for shard, message in messages:
                gathering, join = joins[shard]
                found += [join.process(one) for one in gathering.add(message)]
    return found


@cache
def _of_the_join(folder: Path, size: int) -> Any:
    return STEPS["join"].steady(_joined(folder, size))


@pytest.fixture(scope="module", params=(1, 2))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("spoken")
    for name, records in zip(("calls", "outcomes"), _records(Random(request.param)), strict=True):
        ordered = sorted(records, key=lambda one: one.pop("arrives", one["occurred_at"]))
        texts = [json.dumps(one | {"occurred_at": format_time(one["occurred_at"])}) for one in ordered]
        (written / f"{name}.jsonl").write_text("".join(text + "\n" for text in texts))
    return written


@pytest.mark.parametrize("size", [20, 10_000])
def test_what_sessions_say_in_columns_is_what_they_say_one_by_one(folder: Path, size: int) -> None:
    assert _of_the_join(folder, size) == _of_the_join(folder, 1)


def test_statements_of_sessions_take_the_columns_unless_one_id_comes_twice(folder: Path) -> None:
    joined = _joined(folder, 10_000)
    stated = [judged.stated for each in joined for judged in each.judged]
    in_columns = {pair for each in stated for pair in zip(each.outcome_ids, each.edition.tolist(), strict=True)}
    assert any(one.startswith("session:") for one, _ in in_columns)
    assert not any(one.startswith("session:") and edition > 1 for one, edition in in_columns)
    assert any(row.outcome_id.startswith("session:") and row.edition > 1 for each in joined for row in each.statements)
