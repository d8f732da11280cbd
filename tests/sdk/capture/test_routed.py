"""A client follows what is recommended where its events go, and stamps the draw on the call."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from aftercall import Client
from aftercall.capture.settings import Arranged
from aftercall.routes import Arm, FileSource
from aftercall.testing import MemoryTransport
from harness.recommending import recommendation
from harness.waiting import HANG_S

DEFAULT = Arm("large", "prompt-v7")


def small_is_best() -> bytes:
    return recommendation("support", {("small", "prompt-v7"): 1.0}, issued_s=time.time())


def test_a_route_is_followed_and_stamped(tmp_path: Path) -> None:
    (tmp_path / "recommendations.jsonl").write_bytes(small_is_best() + b"\n")
    client = Client(file=tmp_path, spool=None)
    assert client.ready(HANG_S)
    route = client.route("support", default=DEFAULT, key="user-17")
    with client.track(arm=route):
        pass
    assert client.flush(HANG_S)
    client.close()
    call = json.loads((tmp_path / "calls.jsonl").read_text())
    assert (call["task_type"], call["model"], call["config"]) == ("support", "small", "prompt-v7")
    assert (call["recommendation_id"], call["propensity"]) == (route.recommendation_id, 1.0)


def test_another_source_may_be_given(tmp_path: Path, memory: MemoryTransport) -> None:
    (tmp_path / "mine.jsonl").write_bytes(small_is_best() + b"\n")
    client = Client(transport=memory, recommendations=FileSource(tmp_path / "mine.jsonl"))
    assert client.ready(HANG_S)
    assert client.route("support", default=DEFAULT).model == "small"
    client.close()


@pytest.mark.parametrize("default", [DEFAULT, ("large", "prompt-v7")])
def test_without_a_source_the_default_is_taken_and_stamped_without_a_draw(
    client: Client, memory: MemoryTransport, default: Any
) -> None:
    assert not client.ready(0)
    route = client.route("support", default=default)
    assert (route.model, route.config, route.reason) == ("large", "prompt-v7", "not_ready")
    arranged: Arranged = route
    client.track(arm=arranged)(int)()
    (call,) = memory.calls
    assert (call["task_type"], call["model"]) == ("support", "large")
    assert not {"recommendation_id", "propensity"} & call.keys()
    wrong: Any = 5
    assert client.route("support", default=wrong).reason == "not_ready"
