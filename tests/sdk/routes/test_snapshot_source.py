"""The newest recommendations of a snapshot are followed, and those of the next one once it is published."""

from __future__ import annotations

from pathlib import Path

from aftercall.records import Recommendation, to_json
from aftercall.routes import Arm, Routes, SnapshotSource
from connectors.snapshot.store import SnapshotStore
from harness.recommending import NOW_S, recommendation
from harness.waiting import HANG_S, until

LARGE, SMALL, DEFAULT = Arm("large"), Arm("small"), Arm("careful")


def publish(folder: Path, cut: int, *records: bytes) -> None:
    store = SnapshotStore(folder)
    try:
        store.append_recommendations([Recommendation.parse(record) for record in records])
        store.commit(cut)
        store.publish({}, {"calls": []}, {"calls": []})
    finally:
        store.close()


def test_each_snapshot_that_is_published_brings_its_newest_recommendations(tmp_path: Path) -> None:
    routes = Routes(SnapshotSource(tmp_path), clock=lambda: NOW_S)
    assert not routes.ready(0.1)
    split = recommendation("triage", {LARGE: 0.25, SMALL: 0.75}, seq=2, segments={"long_input": {SMALL: 1.0}})
    publish(tmp_path, 1, recommendation("triage", {DEFAULT: 1.0}), split, recommendation("refund", {LARGE: 1.0}))
    assert routes.ready(HANG_S)
    read = Recommendation.parse(split)
    assert {routes.route("triage", DEFAULT, key=key).arm for key in range(100)} == {LARGE, SMALL}
    route = routes.route("triage", DEFAULT, allowed={SMALL})
    assert (route.recommendation_id, route.propensity) == (read.recommendation_id, 1.0)
    assert routes.route("triage", DEFAULT).propensity in {0.25, 0.75}
    assert routes.route("triage", DEFAULT, segment="long_input").arm == SMALL
    assert routes.route("refund", DEFAULT).arm == LARGE
    publish(tmp_path, 2, recommendation("triage", {LARGE: 1.0}, seq=3))
    until(lambda: routes.route("triage", DEFAULT, key=1).recommendation_id != read.recommendation_id, lambda: None)
    assert {routes.route("triage", DEFAULT, key=key).arm for key in range(100)} == {LARGE}


def test_a_recommendation_without_arms_is_invalid(tmp_path: Path) -> None:
    bare = Recommendation.parse(recommendation("triage", {LARGE: 1.0}))
    fields = bare.model_dump(exclude={"event_id", "segments", "recommendation_id"})
    publish(tmp_path, 1, to_json(Recommendation.sealed(**fields, segments=[])))
    routes = Routes(SnapshotSource(tmp_path), clock=lambda: NOW_S)
    assert routes.ready(HANG_S)
    assert routes.route("triage", DEFAULT).reason == "invalid"
