"""A file of recommendations is read again when it changes; of a task type the newest counts."""

from __future__ import annotations

import time
from pathlib import Path

from aftercall.routes import Arm, FileSource, Routes
from harness.recommending import NOW_S, VALID_S, recommendation
from harness.waiting import HANG_S, assert_prompt, until

LARGE, SMALL, DEFAULT = Arm("large"), Arm("small"), Arm("careful")


def following(file: Path, now: float = NOW_S) -> Routes:
    return Routes(FileSource(file), clock=lambda: now)


def becomes(routes: Routes, task_type: str, wanted: object) -> None:
    def got() -> object:
        route = routes.route(task_type, DEFAULT)
        return route.reason or route.arm

    until(lambda: got() == wanted, got)


def test_a_newer_recommendation_takes_effect_within_a_second(tmp_path: Path) -> None:
    file = tmp_path / "recommendations.jsonl"
    file.write_bytes(recommendation("triage", {LARGE: 1.0}) + b"\n")
    routes = following(file)
    assert routes.ready(HANG_S)
    assert routes.route("triage", DEFAULT).arm == LARGE
    with file.open("ab") as more:
        more.write(recommendation("triage", {SMALL: 1.0}, seq=2) + b"\n")
    began = time.monotonic()
    becomes(routes, "triage", SMALL)
    assert_prompt(began, 1.0, lambda: None)


def test_the_greatest_seq_counts_and_the_newest_among_equals(tmp_path: Path) -> None:
    file = tmp_path / "recommendations.jsonl"
    lines = [
        recommendation("triage", {LARGE: 1.0}, seq=2),
        recommendation("triage", {SMALL: 1.0}, seq=1),
        recommendation("refund", {LARGE: 1.0}, seq=3),
        recommendation("refund", {SMALL: 1.0}, seq=3),
    ]
    file.write_bytes(b"\n".join(lines))
    routes = following(file)
    assert routes.ready(HANG_S)
    assert (routes.route("triage", DEFAULT).arm, routes.route("refund", DEFAULT).arm) == (LARGE, SMALL)


def test_one_that_has_expired_gives_way_to_one_that_has_not(tmp_path: Path) -> None:
    """As of a pipeline that lost its state, and counts from 1 again."""
    file = tmp_path / "recommendations.jsonl"
    old = recommendation("triage", {LARGE: 1.0}, seq=500, issued_s=NOW_S - 2 * VALID_S)
    new = recommendation("triage", {SMALL: 1.0}, seq=1)
    for lines in ((old, new), (new, old)):
        file.write_bytes(b"\n".join(lines))
        routes = following(file)
        assert routes.ready(HANG_S)
        assert routes.route("triage", DEFAULT).arm == SMALL


def test_lines_that_are_no_recommendations_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "recommendations.jsonl"
    good = recommendation("triage", {LARGE: 1.0}, seq=1)
    newer = recommendation("triage", {SMALL: 1.0}, seq=2)
    wrong = [b"", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, newer[:-20], newer.replace(b'"seq":2', b'"seq":true')]
    wrong += [newer.replace(b'"valid_until":"2', b'"valid_until":"x'), newer.replace(b'"segment":null', b'"segment":1')]
    file.write_bytes(b"\n".join([good, *wrong]))
    routes = following(file)
    assert routes.ready(HANG_S)
    assert routes.route("triage", DEFAULT).arm == LARGE


def test_segments_that_are_no_list_are_broken_weights(tmp_path: Path) -> None:
    file = tmp_path / "recommendations.jsonl"
    for number, broken in enumerate((b'"segments":7,"x":[', b'"segments":[{"segment":null,"arms":7}],"x":[')):
        file.write_bytes(recommendation("triage", {LARGE: 1.0}, seq=number + 1).replace(b'"segments":[', broken))
        routes = following(file)
        assert routes.ready(HANG_S)
        assert routes.route("triage", DEFAULT).reason == "invalid"


def test_a_file_is_waited_for_and_one_that_was_removed_stays_known(tmp_path: Path) -> None:
    file = tmp_path / "recommendations.jsonl"
    routes = following(file)
    assert not routes.ready(0.05)
    assert routes.route("triage", DEFAULT).reason == "not_ready"
    file.write_bytes(recommendation("triage", {LARGE: 1.0}))
    assert routes.ready(HANG_S)
    file.unlink()
    time.sleep(0.6)
    assert routes.route("triage", DEFAULT).arm == LARGE


def test_a_file_that_was_replaced_is_all_there_is(tmp_path: Path) -> None:
    file, next_one = tmp_path / "recommendations.jsonl", tmp_path / "next"
    file.write_bytes(recommendation("triage", {LARGE: 1.0}))
    routes = following(file)
    assert routes.ready(HANG_S)
    next_one.write_bytes(recommendation("refund", {SMALL: 1.0}))
    next_one.replace(file)
    becomes(routes, "triage", "unknown_task")
    becomes(routes, "refund", SMALL)
