"""Spellings that look alike become one name, and no other name changes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.events import AgentCall
from aftercall.names import plain_name

CALL = {"call_id": "c", "occurred_at": "2026-03-01T12:00:00Z", "task_type": "t", "model": "m"}


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        ("gpt-4o", "gpt-4o"),
        (" gpt-4o\n", "gpt-4o"),
        ("\ufeffgpt-4o\u200b", "gpt-4o"),
        ("\u200b \u00a0gpt\u00ad-4o\u00a0", "gpt-4o"),
        ("a\x00b\x1f", "ab"),
        ("a b\tc", "a b\tc"),
        ("re\u0301ponse", "r\u00e9ponse"),
        ("gpt\u20114o", "gpt\u20114o"),
        ("GPT-4o", "GPT-4o"),
        (" \u2060 ", ""),
    ],
)
def test_a_name_loses_what_cannot_be_seen_and_nothing_else(sent: str, plain: str) -> None:
    assert plain_name(sent) == plain


@given(st.text())
def test_a_plain_name_is_plain_and_stays_so(name: str) -> None:
    plain = plain_name(name)
    assert plain_name(plain) == plain == plain.strip()
    assert unicodedata.is_normalized("NFC", plain)
    assert not any(unicodedata.category(char) == "Cc" and not char.isspace() for char in plain)


def test_what_was_sent_is_a_label_where_it_was_changed() -> None:
    call = AgentCall.model_validate(
        {**CALL, "task_type": " t", "model": "m\u200b", "config": " ", "attrs": {"tier": "gold"}}
    )
    assert (call.task_type, call.model, call.config) == ("t", "m", "default")
    labels = {"task_type_as_sent": " t", "model_as_sent": "m\u200b", "config_as_sent": " "}
    assert call.attrs == {"tier": "gold", **labels}
    assert AgentCall.model_validate(CALL).attrs is None


def test_a_label_of_that_name_that_was_sent_stays_and_a_long_name_is_cut() -> None:
    sent = {**CALL, "model": "m" + "\u200b" * 300, "task_type": " t", "attrs": {"task_type_as_sent": "theirs"}}
    call = AgentCall.model_validate(sent)
    assert call.attrs == {"task_type_as_sent": "theirs", "model_as_sent": ("m" + "\u200b" * 300)[:256]}
