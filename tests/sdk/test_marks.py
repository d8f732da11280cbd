"""A mark on the wire: its id, its task type, its text."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from aftercall import Mark
from aftercall.marks import mark_id_of

AT = "2026-03-01T12:00:00Z"


def test_the_id_of_a_mark_without_one_is_that_of_its_instant_task_type_and_text() -> None:
    mark = Mark(occurred_at=AT, task_type="triage", text="v8")
    assert mark.mark_id == mark_id_of(AT, "triage", "v8")
    same = Mark(occurred_at="2026-03-01T13:00:00+01:00", task_type=" triage\u200b", text="v8")
    assert same.mark_id == mark.mark_id
    others = [
        Mark(occurred_at="2026-03-01T12:00:01Z", task_type="triage", text="v8"),
        Mark(occurred_at=AT, task_type="*", text="v8"),
        Mark(occurred_at=AT, task_type="triage", text="v9"),
        Mark(occurred_at=AT, task_type="triage"),
    ]
    assert len({mark.mark_id, *(other.mark_id for other in others)}) == 5


def test_an_id_that_is_given_stays_and_an_integer_is_as_good_as_its_digits() -> None:
    assert Mark.model_validate({"mark_id": 17, "occurred_at": AT, "task_type": "triage"}).mark_id == "17"


def test_empty_text_is_absent_and_unknown_fields_are_ignored() -> None:
    given = {"mark_id": "", "occurred_at": AT, "task_type": "triage", "text": "", "by": "deploy bot"}
    mark = Mark.model_validate(given)
    assert (mark.text, mark.mark_id) == (None, mark_id_of(AT, "triage", None))


@pytest.mark.parametrize(
    ("fields", "slug"),
    [
        ({"task_type": "__other__"}, "reserved_name"),
        ({"task_type": ""}, "missing"),
        ({"occurred_at": ""}, "missing"),
        ({"occurred_at": "soon"}, "bad_time"),
        ({"occurred_at": "1999-12-31T23:59:59Z"}, "before_2000"),
        ({"text": "x" * 257}, "string_too_long"),
        ({"text": 8}, "string_type"),
        ({"type": "call"}, "type_mismatch"),
        ({"share": float("nan")}, "not_finite"),
    ],
)
def test_what_a_mark_may_not_say_is_refused(fields: dict[str, object], slug: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Mark.model_validate({"occurred_at": AT, "task_type": "triage", "text": "v8"} | fields)
    assert [error["type"] for error in refused.value.errors()] == [slug]
