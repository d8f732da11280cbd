"""Warnings are counted by kind and subject, logged once, bounded, and kept over a resume."""

from __future__ import annotations

import logging

import pytest

from connectors.batch import Warned
from flows.dataflow.pipeline_warnings import MOST, PipelineWarnings


def warned(subject: str, times: int = 1, first: int = 10, last: int = 20) -> Warned:
    return Warned("kind", subject, times, first, last, f"a sentence on {subject}, {times} times")


def test_what_is_about_one_subject_is_counted_together_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "aftercall.warnings")
    warnings = PipelineWarnings()
    for each in (warned("a", 2), warned("b", 1, 5, 6), warned("a", 3, 1, 15)):
        warnings.add(each)
    resumed = PipelineWarnings.from_state(warnings.state())
    resumed.add(warned("a", 1, 30, 40))
    assert [tuple(each) for each in resumed] == [
        ("kind", "a", 6, 1, 40, "a sentence on a, 2 times"),
        ("kind", "b", 1, 5, 6, "a sentence on b, 1 times"),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "a sentence on a, 2 times",
        "a sentence on b, 1 times",
    ]


def test_old_ones_are_forgotten_by_their_last_time() -> None:
    warnings = PipelineWarnings([warned("a", last=20), warned("b", last=21)])
    warnings.forget(21)
    assert [each.subject for each in warnings] == ["b"]


def test_subjects_that_producers_make_up_without_end_take_no_room() -> None:
    warnings = PipelineWarnings()
    for number in range(3 * MOST):
        warnings.add(warned(f"s{number}"))
    assert len(list(warnings)) == MOST
