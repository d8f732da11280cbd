"""The facets of a record are those that the oracle finds in it, whichever tier of the decoder has read it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.facets import facet_values
from connectors.decode.decoder import Decoder
from connectors.decode.validation import CALL
from oracle.facets import facets

BASE = {"call_id": "c", "occurred_at": "2026-03-01T12:00:00Z", "task_type": "t", "model": "m"}
TEXTS = st.sampled_from(["de", "de-AT", " EN_us ", "zho", "German", "d", "", "é", "x" * 257, "xx" * 128])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "tokens_in": st.integers(0, 300_000) | st.sampled_from([255, 256, 1023.0, 1024, 10**12]),
        "tokens": st.integers(0, 9),
        "tool_calls": st.integers(0, 9)
        | st.lists(
            st.fixed_dictionaries(
                {"name": st.just("search")},
                optional={"ok": st.booleans(), "error": st.sampled_from(["", "timeout"]), "unknown": st.just(1)},
            ),
            max_size=9,
        ),
        "attrs": st.dictionaries(st.sampled_from(["language", "lang", "tier"]), TEXTS | st.integers(), max_size=3),
    },
)


def decoded(record: dict[str, Any]) -> dict[str, str]:
    """Also where tools are numbered, which tells those that failed by their numbers."""
    lines, one, found = [json.dumps(record).encode()], np.array([CALL]), []
    for numbers in (False, True):
        decoder = Decoder(now_us=2**62, max_future_skew_us=0, number_tools=numbers)
        batch = decoder.decode(lines, one.astype(np.uint8), one.astype(np.int32), one, ["calls"])
        assert not batch.refused, batch.refused
        found.append(facet_values(int(batch.calls.facets[0])))
    assert found[0] == found[1]
    return found[0]


@settings(max_examples=150)
@given(FIELDS, st.booleans())
def test_a_record_has_the_facets_that_its_fields_say(fields: dict[str, Any], slowly: bool) -> None:  # noqa: FBT001 - drawn
    record = {**BASE, **fields} | ({"unknown": {"deep": 1}} if slowly else {})
    said = {name: value for name, value in record.items() if value != ""}
    assert decoded(record) == facets(said)


@pytest.mark.parametrize("letters", ["aa", "zz", "aaa", "zzz", "qps"])
def test_languages_of_two_and_three_letters_have_codes_of_their_own(letters: str) -> None:
    assert decoded({**BASE, "attrs": {"language": letters.upper()}}) == {"language": letters}


def test_a_record_without_them_has_none() -> None:
    assert decoded(BASE) == {}
