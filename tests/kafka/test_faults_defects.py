"""A step, a source or a sink that fails by a defect ends the service at once, whatever the number of its processes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from benchmarks.faults.defect import with_defect
from kafka.service import Pipeline
from system.defects import KAFKA, STEPS, THREADS, each_with_an_error, each_with_both_errors

Pipelines = Callable[..., Pipeline]
ENDS_WITHIN_S = 20.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "error"), [*each_with_an_error(*STEPS, *KAFKA, first=1), *each_with_both_errors(*THREADS)]
)
def test_a_service_with_a_defect_ends_with_its_traceback(pipeline: Pipelines, place: str, error: str) -> None:
    # Each error in steps of one process and in steps of one of two; a replay has each step fail by the other error.
    processes = 1 + STEPS.index(place) // 2 % 2 if place in STEPS else 2
    it = pipeline(lanes=2)
    it.send(300)
    broken = it.start(processes=processes, before=None, **with_defect(place, error))
    assert broken.ended(ENDS_WITHIN_S) == 1, broken.printed()
    printed = broken.printed()
    assert "Traceback" in printed, printed
    assert f"{error}: " in printed, printed
    assert "a defect of ours" in printed, printed
    logged = [json.loads(line) for line in printed.splitlines() if line.startswith('{"time": ')]
    assert any(line["level"] == "error" and error in line["event"] for line in logged), printed
    it.assert_goes_on()  # as one process, whose start is cheaper; test_faults_processes has several
