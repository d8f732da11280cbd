"""`--inject` is read or refused with a sentence, and the same suite under the same seed has the same faults."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.errors import ExitCode, UsageError
from aftercall.evals.faults.injection import Injection, Injections
from aftercall.evals.faults.kinds import FAULTS

OF_THE_ISSUE = (
    "timeout:search=0.2,empty:retrieve=1.0,partial:billing=0.5,stale:policy,error:*,contradict:retrieve,slow:crm=5s"
)
TOOLS = st.text(alphabet=string.ascii_lowercase + "_-.*?", min_size=1, max_size=12)
ENTRIES = st.one_of(
    st.builds(
        lambda kind, tool, share: Injection(kind, tool, share=share),
        st.sampled_from([kind for kind in FAULTS if kind != "slow"]),
        TOOLS,
        st.floats(0, 1, exclude_min=True),
    ),
    st.builds(lambda tool, ms: Injection("slow", tool, seconds=ms / 1000), TOOLS, st.integers(1, 600_000)),
)


def test_the_line_of_the_issue_is_read() -> None:
    entries = Injections.parse(OF_THE_ISSUE).entries
    assert entries[0] == Injection("timeout", "search", 0.2)
    assert entries[3:5] == (Injection("stale", "policy", 1.0), Injection("error", "*", 1.0))
    assert entries[6] == Injection("slow", "crm", seconds=5.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("timeout:search=1.5", "must be above 0 and at most 1; got '1.5'"),
        ("timeout:search=20%", "must be above 0 and at most 1; got '20%'"),
        ("timeout:search=0", "must be above 0"),
        ("timeout:search=nan", "must be above 0"),
        ("timeout:search=-0.1", "must be above 0"),
        ("timeout:search=", "must be above 0"),
        ("explode:search", "must be one of timeout, error, empty, partial, stale, contradict, slow; got 'explode'"),
        ("Timeout:search", "must be one of"),
        ("timeout", "must name a kind and a tool; got 'timeout'"),
        ("timeout:", "must name a kind and a tool"),
        ("", "must name a kind and a tool; got ''"),
        ("timeout:search,", "must name a kind and a tool; got ''"),
        ("slow:crm", "must have a duration in ms, s or m"),
        ("slow:crm=0.2", "must have a duration"),
        ("slow:crm=11m", "at most 10m"),
        ("slow:crm=0s", "above 0"),
        ("empty:a[", "each [ has its ]"),
        ("empty:a,empty:a=0.5", "'empty:a' twice"),
        (",".join(f"empty:t{at}" for at in range(65)), "at most 64 entries; got 65"),
    ],
)
def test_what_is_wrong_is_refused_as_usage_with_a_remedy(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        Injections.parse(text)
    assert words in str(refused.value)
    assert re.fullmatch(r"--inject.*\(.+\)", str(refused.value))
    assert refused.value.exit_code is ExitCode.USAGE


@given(st.lists(ENTRIES, min_size=1, max_size=8, unique_by=lambda entry: entry.name), st.integers(0, 2**40))
def test_entries_that_are_written_are_read_back(entries: list[Injection], seed: int) -> None:
    again = Injections.parse(Injections(entries, seed).text, seed)
    assert [entry[:3] for entry in again.entries] == [entry[:3] for entry in entries]
    assert [entry.seconds for entry in again.entries] == pytest.approx([entry.seconds for entry in entries])


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_as_usage(text: str) -> None:
    try:
        entries = Injections.parse(text).entries
    except UsageError:
        return
    assert all(entry.kind in FAULTS and 0 < entry.share <= 1 for entry in entries)


@given(st.lists(ENTRIES, max_size=6, unique_by=lambda entry: entry.name), st.integers(0, 9), st.text(max_size=5))
def test_a_fault_depends_on_seed_case_tool_and_number_alone(entries: list[Injection], seed: int, case: str) -> None:
    asked = [(case, tool, number) for tool in ("search", "crm", "a") for number in (1, 2, 3)]
    first = Injections(entries, seed)
    there = {key: first.fault(*key) for key in asked}
    second = Injections(reversed(entries), seed)
    back = {key: second.fault(*key) for key in reversed(asked)}
    assert {key: fault is None for key, fault in there.items()} == {key: fault is None for key, fault in back.items()}


def test_a_share_is_the_share_of_calls_and_another_seed_strikes_others() -> None:
    def struck(seed: int) -> set[str]:
        broken = Injections.parse("timeout:search=0.2", seed)
        return {case for case in map(str, range(4000)) if broken.fault(case, "search", 1) is not None}

    assert 0.18 < len(struck(1)) / 4000 < 0.22  # 3 standard deviations of a binomial
    assert 0.1 < len(struck(1) & struck(2)) / len(struck(1)) < 0.3


def test_numbers_of_calls_are_drawn_apart() -> None:
    broken = Injections.parse("timeout:search=0.5", 3)
    struck = [broken.fault("c", "search", number) is not None for number in range(1, 401)]
    assert 160 < sum(struck) < 240


def test_an_entry_that_is_added_moves_no_draw_of_another() -> None:
    alone = Injections.parse("timeout:search=0.3", 5)
    beside = Injections.parse("empty:mail=0.9,timeout:search=0.3", 5)
    for case in map(str, range(200)):
        assert (alone.fault(case, "search", 1) is None) == (beside.fault(case, "search", 1) is None)


def test_a_name_goes_before_a_glob_and_of_two_that_strike_either_comes() -> None:
    broken = Injections.parse("empty:retrieve,contradict:retrieve,error:*")
    kinds = {fault.kind for case in map(str, range(60)) if (fault := broken.fault(case, "retrieve", 1)) is not None}
    assert kinds == {"empty", "contradict"}
    other = broken.fault("c", "mail", 1)
    assert other is not None
    assert other.kind == "error"


def test_an_entry_for_a_tool_that_was_never_called_is_named() -> None:
    broken = Injections.parse("timeout:serach,empty:ret*,error:mail")
    assert [entry.name for entry in broken.never_called({"search", "retrieve"})] == ["timeout:serach", "error:mail"]
