"""Votes as people have them, from ../shared/cases: edited, cleared, of several people and several scorers.

Each comes out as its README wants, or is refused with a sentence that says what to write; then it is written so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from system.commands import aftercall, assert_one_sentence, call, counts, lines, table

Raw = dict[str, Any]
VERDICTS = "SELECT call_id, verdict FROM calls ORDER BY 1"
REVISES = '[verdict.source.user_feedback]\nsame_id = "revises"\n'


def unchanged(record: Raw) -> Raw:
    """As it was sent."""
    return record


def replayed(
    cases: Path, number: str, here: Path, settings: str = "", written: Callable[[Raw], Raw] = unchanged
) -> Raw:
    """What `replay --json` prints of a case, under its own settings and others in TOML; skips where it is absent."""
    folder = next(iter(cases.glob(f"{number}-*")), None)
    if folder is None:
        pytest.skip(f"needs case {number} in ../shared/cases beside this checkout; it is not there")
    for kind in ("calls", "outcomes"):
        records = map(json.loads, (folder / f"{kind}.jsonl").read_text("utf-8").splitlines())
        (here / f"{kind}.jsonl").write_bytes(lines(list(map(written, records))))
    own = folder / "aftercall.toml"
    (here / "aftercall.toml").write_text(settings + (own.read_text("utf-8") if own.exists() else ""), "utf-8")
    files = ("--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl")
    return counts(aftercall(here, "replay", *files, "--config", "aftercall.toml", "--out", "out", "--json"))


def verdicts(here: Path) -> list[str]:
    return [verdict for _, verdict in table(here / "out", VERDICTS)]


def details(here: Path, reason: str) -> list[str]:
    return [
        detail for found, detail in table(here / "out", "SELECT reason, detail FROM dead_letters") if found == reason
    ]


def test_16_what_a_person_says_now_stands(field_cases: Path, tmp_path: Path) -> None:
    found = replayed(field_cases, "16", tmp_path, REVISES)
    assert (verdicts(tmp_path), found["outcomes"], found["dead_letters"]) == (["failure"] * 3, 6, 0)
    rows = table(tmp_path / "out", "SELECT call_id, edition, success, stands FROM statements ORDER BY call_id, edition")
    assert rows == [
        row
        for name in ("call-0000", "call-0001", "call-0002")
        for row in ((name, 1, True, False), (name, 2, False, True))
    ]


def test_16_without_the_setting_the_dead_letter_names_it(field_cases: Path, tmp_path: Path) -> None:
    found = replayed(field_cases, "16", tmp_path)
    assert found["dead_letter_reasons"] == {"conflict": 3}
    for detail in details(tmp_path, "conflict"):
        assert "another outcome of this call has this outcome_id" in detail
        assert '[verdict.source.user_feedback] same_id = "revises"' in detail


def test_18_what_clears_nothing_is_refused_with_what_to_write(field_cases: Path, tmp_path: Path) -> None:
    found = replayed(field_cases, "18", tmp_path)
    assert found["dead_letter_reasons"] == {"no_verdict": 2, "out_of_range": 1}
    for detail in details(tmp_path, "no_verdict"):
        assert 'action = "retract"' in detail
        assert '[verdict.source.user_feedback] same_id = "revises"' in detail
    (detail,) = details(tmp_path, "out_of_range")
    assert detail == "field 'action' should be 'assert' or 'retract'; got 'delete'"
    assert verdicts(tmp_path) == ["success", "success", "failure", "pending", "success"]


def test_18_under_the_setting_it_says_that_the_id_is_to_be_that_of_the_vote(field_cases: Path, tmp_path: Path) -> None:
    found = replayed(field_cases, "18", tmp_path, REVISES + "abstain = 0\n")
    assert found["dead_letter_reasons"] == {"no_verdict": 2, "out_of_range": 1}
    for detail in details(tmp_path, "no_verdict"):
        assert "no outcome of this call has this outcome_id" in detail
        assert 'action = "retract"' in detail
    assert verdicts(tmp_path) == ["success", "success", "pending", "pending", "success"]


def test_18_as_it_asks_to_be_written_each_vote_is_cleared(field_cases: Path, tmp_path: Path) -> None:
    def written(record: Raw) -> Raw:
        own_id = (
            {"outcome_id": f"out-000{record['outcome_id'][1]}"} if record.get("outcome_id", "").startswith("c") else {}
        )
        return record | own_id | ({"action": "retract"} if record.get("action") == "delete" else {})

    found = replayed(field_cases, "18", tmp_path, REVISES + "abstain = 0\n", written)
    assert (verdicts(tmp_path), found["dead_letters"]) == (["pending"] * 5, 0)
    stands = "SELECT call_id, score FROM statements WHERE stands"
    assert table(tmp_path / "out", stands) == [("call-0002", 0.0)]


@pytest.mark.parametrize("how", ["newest", "majority", "mean", "all", "any"])
def test_22_who_clears_a_vote_clears_no_other_persons(field_cases: Path, tmp_path: Path, how: str) -> None:
    def signed(record: Raw) -> Raw:
        return record | ({"author": record["attrs"]["user"]} if "outcome_id" in record else {})

    replayed(field_cases, "22", tmp_path, f'[verdict.source.user_feedback]\ncombine = "{how}"\n', signed)
    assert verdicts(tmp_path) == ["failure"]
    rows = table(tmp_path / "out", "SELECT outcome_id, stands FROM statements ORDER BY 1")
    assert rows == [("a", True), ("b", False), ("c", False)]


@pytest.mark.parametrize("section", ["[verdict]", "[task.support]"])
def test_24_all_scorers_must_pass_whichever_speaks_last(field_cases: Path, tmp_path: Path, section: str) -> None:
    replayed(field_cases, "24", tmp_path, f'{section}\nrequire = ["relevance", "toxicity", "groundedness"]\n')
    rows = table(tmp_path / "out", "SELECT verdict, verdict_source FROM calls")
    assert rows == [("failure", "toxicity")] * 3


def test_24_a_call_that_a_required_scorer_has_not_sampled_stays_pending(field_cases: Path, tmp_path: Path) -> None:
    settings = '[verdict]\nrequire = ["relevance", "humans"]\nprecedence = ["groundedness"]\n'
    replayed(field_cases, "24", tmp_path, settings)
    assert verdicts(tmp_path) == ["pending"] * 3


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (REVISES, ("verdict.source.user_feedback was None", "'same_id': 'revises'")),
        ("[verdict.source.judge]\nabstain = 0.5\n", ("verdict.source.judge was None", "'abstain': [0.5, 0.5]")),
        ('[verdict.source.judge]\ncombine = "all"\n', ("verdict.source.judge was None", "'combine': 'all'")),
        ('[verdict]\nrequire = ["judge"]\n', ("verdict.require was None, is ['judge']",)),
        ('[task.summarise]\nrequire = ["judge"]\n', ("task.summarise was None", "'require': ['judge']")),
    ],
)
def test_what_decides_verdicts_changes_only_on_demand(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    (tmp_path / "calls.jsonl").write_bytes(lines([call(number) for number in range(3)]))
    begun = ("replay", "--calls", "calls.jsonl", "--out", "out", "--config", "aftercall.toml")
    (tmp_path / "aftercall.toml").write_text("", "utf-8")
    assert aftercall(tmp_path, *begun).returncode == 0
    (tmp_path / "aftercall.toml").write_text(text, "utf-8")
    assert_one_sentence(aftercall(tmp_path, *begun), 2, *parts, "--accept-config-change")
    assert aftercall(tmp_path, *begun, "--accept-config-change").returncode == 0


def test_a_setting_that_contradicts_itself_ends_the_command_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_bytes(lines([call(0)]))
    (tmp_path / "aftercall.toml").write_text("[verdict.source.judge]\nabstain = [0.6, 0.8]\n", "utf-8")
    begun = ("replay", "--calls", "calls.jsonl", "--out", "out", "--config", "aftercall.toml")
    parts = ("aftercall.toml", "[verdict.source.judge]", "abstain", "pass_at", "[0.6, 0.8]", "correct")
    assert_one_sentence(aftercall(tmp_path, *begun), 2, *parts)
