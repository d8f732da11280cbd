"""What a start must do, by the newest record of the claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.kafka.claim import Claim, Judgement, Owner, claim_key, judge, transactional_id

OURS = Owner("run", "/data", "here")
CLAIM = Claim(run_id="run", incarnation=7, stored=7, folder="/data", host="here", since="2026-11-29T00:00:00+00:00")


@pytest.mark.parametrize(
    ("newest", "stored", "found"),
    [
        (None, 0, "free"),
        (None, 5, "free"),
        (CLAIM, 7, "ours"),
        (replace(CLAIM, host="there"), 7, "watch"),
        (replace(CLAIM, folder="/copy"), 7, "watch"),
        (replace(CLAIM, run_id="other"), 7, "watch"),
        (replace(CLAIM, run_id="other"), 3, "watch"),
        (replace(CLAIM, released=True, host="there"), 7, "free"),
        (replace(CLAIM, released=True, run_id="other"), 0, "free"),
        # It fell behind, whether the other one still runs or not, and wherever it is.
        (CLAIM, 6, "behind"),
        (replace(CLAIM, folder="/copy", released=True), 6, "behind"),
        # Another run had the topics since.
        (replace(CLAIM, run_id="other", incarnation=9, released=True, earlier={"run": 7}), 6, "behind"),
        (replace(CLAIM, run_id="other", incarnation=9, released=True, earlier={"run": 7}), 7, "free"),
        (replace(CLAIM, run_id="other", incarnation=9, earlier={"run": 7}), 7, "watch"),
        # Killed between the claim and the folder: the claim is ahead by one, and no state is behind.
        (replace(CLAIM, incarnation=8), 7, "ours"),
        (replace(CLAIM, incarnation=9), 7, "ours"),
    ],
)
def test_what_a_start_must_do(newest: Claim | None, stored: int, found: Judgement) -> None:
    assert judge(newest, OURS, stored) == found


def test_a_claim_is_read_as_it_was_written_and_fields_of_later_versions_are_left_out() -> None:
    assert Claim.from_json(CLAIM.to_json()) == CLAIM
    assert Claim.from_json(CLAIM.to_json().replace(b"{", b'{"more": 1, ', 1)) == CLAIM


def test_a_claim_knows_the_runs_before_it_and_forgets_the_oldest() -> None:
    claim = CLAIM
    for number in range(100):
        claim = replace(claim, run_id=f"run-{number}", stored=number, earlier=claim.earlier_than(f"run-{number}"))
    assert [*claim.earlier] == [f"run-{number}" for number in range(35, 99)]
    assert (claim.last_stored("run-99"), claim.last_stored("run-98"), claim.last_stored("run")) == (99, 98, 0)
    assert "run-98" not in claim.earlier_than("run-98")
    assert Claim.from_json(claim.to_json()) == claim


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b"{}", b'{"run_id": "r"}', b"\xff"])
def test_what_is_no_claim_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"must be|Expecting|codec"):
        Claim.from_json(value)


def test_other_topics_groups_or_clusters_are_other_claims() -> None:
    keys = [
        claim_key("cluster", "group", ["a", "b"]),
        claim_key("other", "group", ["a", "b"]),
        claim_key("cluster", "other", ["a", "b"]),
        claim_key("cluster", "group", ["a", "c"]),
        claim_key("cluster", "group", ["b", "a"]),
    ]
    assert len(set(keys)) == len(set(map(transactional_id, keys))) == len(keys)
