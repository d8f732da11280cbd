"""Marks by their ids, and when they close, against the oracle; across restarts too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import MINUTE_US, NEVER
from models.groups import Caps, Groups
from models.groups import marks as module
from models.groups.marks import KnownMarks
from models.messages import Deployed, Mark
from oracle import marks as oracle

sent = st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.sampled_from(["t", "*"]), st.sampled_from([None, "v8"]))


def mark(mark_id: str, minute: int, task: str = "t", text: str | None = None, wm: int = NEVER, offset: int = 0) -> Mark:
    at = minute * MINUTE_US
    contents = (at, hash(task) % 2**63, hash(text or "") % 2**63)
    return Mark(mark_id, at, task, text, contents, wm, "marks.jsonl", offset, b"{}")


@given(st.lists(st.tuples(sent, st.booleans()), max_size=12))
def test_repeats_are_duplicates_and_others_of_an_id_conflicts(
    history: list[tuple[tuple[str, int, str, str | None], bool]],
) -> None:
    """As the oracle has it, one message or many, resumed or not."""
    marks = [mark(*one, offset=place) for place, (one, _) in enumerate(history)]
    known, accepted, refused, duplicates = KnownMarks(), list[Mark](), list[Mark](), 0
    for one, (_, resumes) in zip(marks, history, strict=True):
        found = known.read([one])
        accepted += found.accepted
        refused += [refusal.mark for refusal in found.refused]
        duplicates += found.duplicates
        known = KnownMarks(known.state()) if resumes else known
    at_once = KnownMarks().read(marks)
    assert (at_once.accepted, [one.mark for one in at_once.refused], at_once.duplicates) == (
        accepted, refused, duplicates
    )  # fmt: skip
    became = oracle.read(oracle.Mark(one.mark_id, one.at, one.task_type, one.text, 0) for one in marks)
    assert [one[:4] for one in accepted] == [one[:4] for one in became.accepted]
    assert [one[:4] for one in refused] == [one[:4] for one in became.conflicts]
    assert duplicates == became.duplicates


def test_the_detail_of_a_conflict_names_what_differs() -> None:
    known = KnownMarks()
    known.read([mark("a", 1, "t", "v8")])
    read = known.read([mark("a", 2, "t", "v8"), mark("a", 1, "*", "v9"), mark("a", 1, "t", "v9")])
    details = [refused.detail.partition("another mark has this mark_id, with another ")[2] for refused in read.refused]
    assert [detail.split()[0] for detail in details] == ["occurred_at", "task_type", "text"]


def test_a_mark_closes_with_its_minute_or_with_the_open_one_where_that_was_closed() -> None:
    known = KnownMarks()
    known.read([mark("late", 3, wm=7 * MINUTE_US), mark("b", 5), mark("a", 5), mark("ahead", 9)])
    assert known.close(5) == ()
    assert [one.mark_id for one in known.close(7)] == ["a", "b"]
    assert known.close(8) == (Deployed(7, 3 * MINUTE_US, "late", "t", None),)
    again = KnownMarks(known.state())
    assert [one.mark_id for one in again.close(100)] == ["ahead"]
    assert again.close(200) == ()


def test_only_the_newest_ids_are_known() -> None:
    known = KnownMarks()
    known.read([mark(str(n), n) for n in range(module.MOST_KNOWN + 1)])
    assert known.read([mark("1", 1)]).duplicates == 1
    assert known.read([mark("0", 0)]).duplicates == 0


def test_a_state_of_before_knows_no_marks() -> None:
    before = Groups(1, Caps(1, 1, 1)).state()
    del before["marks"]
    assert Groups.from_state(before, 1, Caps(1, 1, 1)).state()["marks"] == KnownMarks().state()
