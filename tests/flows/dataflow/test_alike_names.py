"""Names that were typed in several ways are named in one warning, with the settings that make them one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flows.dataflow.alike_names import alike_names, spelling

AS_OF = 1_700_000_000_000_000


def rates(*rows: tuple[str, str, str, int], span: str = "7d") -> dict[str, Any]:
    task_type, model, config, calls = map(list, zip(*rows, strict=True))
    names = {"task_type": task_type, "model": model, "config": config}
    return {**names, "calls": np.array(calls), "span": [span] * len(rows), "as_of": np.full(len(rows), AS_OF)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GPT-4o", "gpt-4o"),
        ("gpt 4o", "gpt-4o"),
        ("gpt\u20114o", "gpt_4o"),
        ("claude-3-5-sonnet-20241022", "Claude 3-5 Sonnet"),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),
    ],
)
def test_models_that_differ_only_by_case_blanks_dashes_or_a_date_are_alike(one: str, other: str) -> None:
    assert spelling(one, dated=True) == spelling(other, dated=True)


@pytest.mark.parametrize(("one", "other"), [("gpt-4o", "gpt-4"), ("v1.0", "v10"), ("a/b", "ab"), ("m-1024", "m-0512")])
def test_other_models_are_not(one: str, other: str) -> None:
    assert spelling(one, dated=True) != spelling(other, dated=True)


def test_one_warning_names_them_all_and_the_lines_that_make_them_one() -> None:
    found = alike_names(
        rates(
            ("t", "GPT-4o", "v1", 5),
            ("u", "gpt-4o", "v1", 20),
            ("t", "gpt-4o-2024-08-06", "v1", 7),
            ("t", "m", "v1", 9),
        ),
        {},
    )
    (warned,) = found
    assert (warned.kind, warned.subject, warned.times, warned.first, warned.last) == (
        "alike_names",
        "model gpt-4o",
        3,
        AS_OF,
        AS_OF,
    )
    assert warned.detail == (
        "models 'gpt-4o', 'gpt-4o-2024-08-06', 'GPT-4o' differ only by case, blanks, dashes or a date (if they are "
        'one, write [alias.model] "gpt-4o-2024-08-06" = "gpt-4o", "GPT-4o" = "gpt-4o"; '
        "one that is not is set to itself)"
    )


def test_configs_that_are_named_by_a_date_are_no_mistake_but_their_spelling_may_be() -> None:
    dated = rates(("t", "m", "prompt-2026-03-01", 5), ("t", "m", "prompt-2026-04-01", 5))
    assert alike_names(dated, {}) == []
    spelled = rates(("Help desk", "m", "prompt-v7", 5), ("help_desk", "m", "Prompt v7", 5))
    assert [warned.subject for warned in alike_names(spelled, {})] == ["config Prompt v7", "task Help desk"]


def test_names_without_calls_of_late_and_those_set_to_themselves_are_left_alone() -> None:
    both = ("t", "gpt-4o", "v1", 5), ("t", "GPT-4o", "v1", 5)
    assert alike_names(rates(*both, span="1h"), {}) == []
    assert alike_names(rates(both[0], (*both[1][:3], 0)), {}) == []
    assert alike_names(rates(*both), {"model": {"GPT-4o"}}) == []
    assert len(alike_names(rates(*both), {"config": {"GPT-4o"}})) == 1
