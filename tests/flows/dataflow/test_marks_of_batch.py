"""Scorers of outcomes as marks: new ones of a source, at their first outcome, however batches are cut."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import MINUTE_US, format_time, parse_time
from connectors.batch import Batch
from connectors.decode.decoder import OUTCOME, Decoder
from flows.dataflow.marks_of_batch import marks_of
from models.groups.marks import KnownMarks
from models.messages import Deployed
from oracle import marks as oracle

START = parse_time("2026-03-02T09:00:00Z")
stated = st.tuples(
    st.sampled_from(["judge", "people"]), st.sampled_from([None, "v1", "v2", "v3"]), st.integers(0, 9), st.booleans()
)


def batch(outcomes: list[tuple[str, str | None, int, bool]], first: int) -> Batch:
    """Outcomes of calls, and of sessions, as a lane reads them: the watermark of each is its place in minutes."""
    raws = []
    for number, (source, scorer, minute, of_session) in enumerate(outcomes, first):
        subject = {"session_id": "s"} if of_session else {"call_id": "c"}
        fields = {"outcome_id": f"o{number}", "source": source, "scorer": scorer, "score": 0.5, **subject}
        raws.append(json.dumps({**fields, "occurred_at": format_time(START + minute * MINUTE_US)}).encode())
    count = len(raws)
    decoder = Decoder(now_us=START + 10**12, max_future_skew_us=0)
    read = decoder.decode(
        raws, np.full(count, OUTCOME, np.uint8), np.zeros(count, np.int32), np.arange(count, dtype=np.int64), ["o"]
    )
    read.met(START + np.arange(first, first + count) * MINUTE_US)
    return read


def closed(outcomes: list[tuple[str, str | None, int, bool]], cuts: list[int]) -> list[Deployed]:
    known = KnownMarks()
    bounds = sorted({0, len(outcomes), *(cut for cut in cuts if cut < len(outcomes))})
    for begin, end in pairwise(bounds):
        read = known.read(marks_of(batch(outcomes[begin:end], begin)))
        assert (read.accepted, read.duplicates, read.refused) == ([], 0, [])
        known = KnownMarks(known.state())
    return list(known.close(2**40))


@given(st.lists(stated, max_size=12), st.lists(st.integers(1, 11), max_size=4))
def test_a_new_scorer_of_a_source_is_a_mark_and_its_first_is_none(
    outcomes: list[tuple[str, str | None, int, bool]], cuts: list[int]
) -> None:
    found = closed(outcomes, cuts)
    read = [
        (source, scorer, START + minute * MINUTE_US, max(START // MINUTE_US + minute, START // MINUTE_US + place))
        for place, (source, scorer, minute, _) in enumerate(outcomes)
    ]
    wanted = oracle.of_scorers(read)
    assert sorted((one.source, one.text, one.at, one.minute, one.task_type) for one in found) == sorted(
        (one.source, one.text, one.at, one.minute, one.task_type) for one in wanted
    )
    assert found == closed(outcomes, [])


def test_outcomes_without_scorers_are_no_marks() -> None:
    assert marks_of(batch([("judge", None, 1, False)], 0)) == ()
