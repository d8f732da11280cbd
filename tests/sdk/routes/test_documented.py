"""The example of docs/producers.md follows what a broker has."""

from __future__ import annotations

import time
from typing import Any

from harness.recommending import recommendation
from kafka.clusters import Cluster
from system.documents import blocks, document

BROKER = "localhost:9092"


def test_the_example_of_the_page_draws_what_is_recommended(mock_broker: Cluster) -> None:
    mock_broker.create_topic("agent.recommendations", 2)
    record = recommendation("support", {("small", "prompt-v8"): 1.0}, issued_s=float(int(time.time())))
    mock_broker.produce("agent.recommendations", None, "support", record)
    (example,) = (block for block in blocks(document("docs/producers.md"), "python") if "Routes" in block)
    names: dict[str, Any] = {}
    exec(example.replace(BROKER, mock_broker.bootstrap).replace("timeout=30", "timeout=600"), names)  # noqa: S102 - our own page
    assert names["logged"] == {
        "model": "small",
        "config": "prompt-v8",
        "recommendation_id": names["route"].recommendation_id,
        "propensity": 1.0,
    }
    assert names["logged"]["recommendation_id"].encode() in record
