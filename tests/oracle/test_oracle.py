"""The sentences of reference section 2, one by one, as the oracle reads them."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from oracle.ledger import decide, revisions, standing
from oracle.records import MINUTE_US, NEVER, Call, Outcome, Record, Rules, parse
from oracle.replay import Dead, Oracle
from oracle.tables import GRAIN_US

SECOND = 1_000_000
H = 30 * MINUTE_US
LATENESS = 10 * MINUTE_US
ORPHAN_WAIT = 5 * MINUTE_US
T = 1_000_000 * MINUTE_US
RULES = Rules(horizon_us=H, allowed_lateness_us=LATENESS, orphan_wait_us=ORPHAN_WAIT, precedence=("human", "judge"))
CALL = Call("c", T)


def asserts(
    outcome_id: str, at: int, *, success: bool | None = True, source: str = "user", score: float | None = None
) -> Outcome:
    """A statement on CALL, `at` microseconds after it."""
    return Outcome(outcome_id, "c", T + at, source, success, score)


def retracts(outcome_id: str, at: int, target: str | None = None, *, source: str = "user") -> Outcome:
    """A retraction on CALL, `at` microseconds after it."""
    return Outcome(outcome_id, "c", T + at, source, action="retract", retracts=target)


def fed(*records: Record | tuple[Record, int], wm: int = NEVER, rules: Rules = RULES) -> Oracle:
    """An oracle after records, each at the watermark NEVER or its own, finished at `wm`."""
    oracle = Oracle(rules)
    for entry in records:
        record, before = entry if isinstance(entry, tuple) else (entry, NEVER)
        oracle.feed(record, before)
    oracle.finish(wm)
    return oracle


def verdict(*statements: Outcome, rules: Rules = RULES, call: Call = CALL) -> tuple[str, str | None]:
    """The verdict on a call and the outcome it rests on."""
    decided = decide(call, statements, rules)
    return decided.verdict, decided.outcome_id


def reasons(oracle: Oracle) -> list[str]:
    """Why records were refused, in order."""
    return [dead.reason for dead in oracle.dead()]


def test_per_source_the_newest_statement_stands() -> None:
    old, new = asserts("z", 1), asserts("a", 2, success=False)
    assert standing([new, old]) == [new]
    assert verdict(new, old) == ("failure", "a")


def test_of_statements_at_one_instant_the_greatest_outcome_id_is_the_newest() -> None:
    assert verdict(asserts("10", 1), asserts("9", 1, success=False)) == ("failure", "9")


def test_precedence_decides_among_sources_whatever_their_age() -> None:
    assert verdict(asserts("1", 1, source="human"), asserts("2", 2, source="judge", success=False)) == ("success", "1")


def test_listed_sources_outrank_those_not_in_the_list() -> None:
    assert verdict(asserts("1", 1, source="judge"), asserts("2", 2, source="user", success=False)) == ("success", "1")


def test_among_unlisted_sources_the_newest_decides_and_ties_go_to_the_greatest_outcome_id() -> None:
    assert verdict(asserts("1", 2), asserts("2", 1, source="x", success=False)) == ("success", "1")
    assert verdict(asserts("1", 1), asserts("2", 1, source="x", success=False)) == ("failure", "2")


def test_a_call_with_an_error_is_a_failure_below_every_source() -> None:
    broken = Call("c", T, error="timeout")
    assert decide(broken, [], RULES)[:2] == ("failure", "call")
    assert decide(broken, [], RULES).decided_at == T
    assert verdict(asserts("1", -1), call=broken) == ("success", "1")
    assert verdict(asserts("1", -1), retracts("2", 0, "1"), call=broken) == ("failure", None)


RESTORING = [asserts("1", 1), asserts("2", 2, success=False), retracts("3", 0, "2")]


@pytest.mark.parametrize("order", list(permutations(RESTORING)))
def test_a_retraction_by_id_restores_what_stood_before_whenever_either_arrives(order: tuple[Outcome, ...]) -> None:
    oracle = fed(CALL, *order)
    assert oracle.calls_rows()[0]["verdict"] == "success"
    assert [row["stands"] for row in oracle.statements_rows()] == [False, True, False]


def test_a_retraction_may_name_a_statement_of_another_source() -> None:
    assert verdict(asserts("1", 1, source="judge"), retracts("2", 2, "1", source="human")) == ("pending", None)


def test_a_retraction_by_source_takes_back_all_that_source_asserted_up_to_and_at_its_instant() -> None:
    before, same, after = asserts("1", 1), asserts("3", 2), asserts("4", 3, success=False)
    assert standing([before, same, retracts("2", 2)]) == []
    assert standing([before, same, after, retracts("2", 2)]) == [after]


def test_a_retraction_by_source_leaves_other_sources_alone() -> None:
    assert verdict(asserts("1", 1, source="judge"), retracts("2", 2)) == ("success", "1")


def test_a_retraction_cannot_be_retracted() -> None:
    assert verdict(asserts("1", 1), retracts("2", 2, "1"), retracts("3", 3, "2")) == ("pending", None)
    assert verdict(asserts("1", 1), retracts("2", 2), retracts("3", 3)) == ("pending", None)


def test_a_retraction_reaches_no_other_call() -> None:
    other = Outcome("1", "d", T, success=True)
    oracle = fed(CALL, Call("d", T), other, asserts("1", 0), retracts("2", 1, "1"))
    assert {row["call_id"]: row["verdict"] for row in oracle.calls_rows()} == {"c": "pending", "d": "success"}


@pytest.mark.parametrize(
    ("source", "score", "expected"),
    [
        ("user", 0.7, "success"),
        ("user", 0.6999, "failure"),
        ("judge", 0.5, "success"),
        ("judge", 0.4999, "failure"),
        ("toxicity", 0.2999, "success"),
        ("toxicity", 0.3, "failure"),
    ],
)
def test_a_score_is_judged_by_the_bounds_of_its_source(source: str, score: float, expected: str) -> None:
    rules = Rules(pass_at={"judge": 0.5}, fail_at={"toxicity": 0.3})
    decided = decide(CALL, [asserts("1", 1, source=source, success=None, score=score)], rules)
    assert (decided.verdict, decided.score) == (expected, score)


def test_success_wins_over_a_score_beside_it() -> None:
    assert verdict(asserts("1", 1, success=False, score=1.0)) == ("failure", "1")


def test_revisions_count_changes_between_prefixes_but_not_the_first_departure_from_pending() -> None:
    yes, no, back = asserts("1", 1), asserts("2", 2, success=False), retracts("3", 3)
    assert revisions(CALL, [], RULES) == 0
    assert revisions(CALL, [yes], RULES) == 0
    assert revisions(CALL, [back], RULES) == 0
    assert revisions(CALL, [no, yes], RULES) == 1
    assert revisions(CALL, [back, no, yes], RULES) == 2
    assert revisions(CALL, [yes, asserts("4", 4)], RULES) == 0
    assert revisions(Call("c", T, error="timeout"), [yes], RULES) == 1


def test_a_retraction_that_sorts_before_its_target_leaves_no_revision() -> None:
    assert revisions(CALL, [retracts("0", 0, "1"), asserts("1", 1)], RULES) == 0


def test_a_call_closes_only_once_the_watermark_is_past_horizon_and_lateness() -> None:
    close = T + H + LATENESS
    assert fed(CALL, wm=close).counters()["pending"] == 1
    assert fed(CALL, wm=close + 1).counters()["expired"] == 1


def test_a_call_on_which_something_stands_does_not_expire() -> None:
    assert fed(CALL, asserts("1", 1), wm=T + 10 * H).counters()["successes"] == 1


def test_a_call_whose_statements_are_all_withdrawn_expires() -> None:
    assert fed(CALL, asserts("1", 1), retracts("2", 1), wm=T + 10 * H).counters()["expired"] == 1


def test_silence_decides_at_closing_with_the_time_of_the_horizon() -> None:
    rules = Rules(10 * H, LATENESS, task_horizon_us={"task": H}, silence={"task": "success"})
    assert fed(CALL, wm=T + H + LATENESS, rules=rules).calls_rows()[0]["verdict"] == "pending"
    row = fed(CALL, wm=T + H + LATENESS + 1, rules=rules).calls_rows()[0]
    assert (row["verdict"], row["verdict_source"], row["verdict_at"]) == ("success", "silence", T + H)
    assert (row["statements"], row["revisions"]) == (0, 0)


def test_silence_gives_way_to_anything_that_stands() -> None:
    rules = Rules(allowed_lateness_us=0, task_horizon_us={"task": H}, silence={"task": "success"})
    assert fed(CALL, asserts("1", 1, success=False), wm=T + 2 * H, rules=rules).counters()["failures"] == 1


OF_BEFORE = replace(RULES, completes=False)


def test_a_call_again_with_equal_deciding_fields_is_a_duplicate_and_the_first_one_stays() -> None:
    """Of a call that a state of before brought; others are completed, see `test_completions.py`."""
    oracle = fed(CALL, Call("c", T, latency_ms=5.0, attrs={"x": 1}), rules=OF_BEFORE)
    assert oracle.counters()["duplicates"] == 1
    assert oracle.calls_rows()[0]["latency_ms"] is None


@pytest.mark.parametrize(
    "other",
    [
        Call("c", T + 1),
        Call("c", T, task_type="x"),
        Call("c", T, model="x"),
        Call("c", T, config="x"),
        Call("c", T, segment="x"),
        Call("c", T, error="x"),
    ],
)
def test_a_call_again_with_any_deciding_field_changed_is_a_conflict(other: Call) -> None:
    assert fed(CALL, other, rules=OF_BEFORE).dead() == [Dead("conflict", "c", None)]


@pytest.mark.parametrize("call_first", [True, False])
def test_an_outcome_again_is_a_duplicate_whether_its_call_is_there_or_not(*, call_first: bool) -> None:
    again = Outcome("1", "c", T, "user", success=True, reason="other", call_at=T)
    records = (CALL, asserts("1", 0), again) if call_first else (asserts("1", 0), again, CALL)
    counters = fed(*records).counters()
    assert (counters["outcomes"], counters["duplicates"], counters["dead_letters"]) == (1, 1, 0)


@pytest.mark.parametrize(
    "other",
    [
        asserts("1", 0, source="x"),
        asserts("1", 0, success=False),
        asserts("1", 0, score=0.5),
        retracts("1", 0),
        retracts("1", 0, "9"),
    ],
)
@pytest.mark.parametrize("call_first", [True, False])
def test_an_outcome_again_that_says_something_else_is_a_conflict(other: Outcome, *, call_first: bool) -> None:
    records = (CALL, asserts("1", 0), other) if call_first else (asserts("1", 0), other, CALL)
    oracle = fed(*records)
    assert oracle.dead() == [Dead("conflict", "c", "1")]
    assert oracle.statements_rows()[0]["success"] is True


@pytest.mark.parametrize("call_first", [True, False])
@pytest.mark.parametrize("hours", [-1, 1])
def test_an_outcome_that_says_the_same_at_another_time_is_a_duplicate_and_the_first_one_stays(
    *, call_first: bool, hours: int
) -> None:
    first, again = asserts("1", 0), asserts("1", hours)
    oracle = fed(*((CALL, first, again) if call_first else (first, again, CALL)))
    assert (oracle.counters()["duplicates"], oracle.dead()) == (1, [])
    assert [row["occurred_at"] for row in oracle.statements_rows()] == [first.at]


def test_outcome_ids_are_unique_only_within_their_call() -> None:
    assert fed(CALL, Call("d", T), asserts("1", 0), Outcome("1", "d", T, success=True)).counters()["outcomes"] == 2


def test_outcome_ids_are_unique_only_within_their_call_while_they_wait_too() -> None:
    assert fed(asserts("1", 0), Outcome("1", "d", T, success=True)).counters()["waiting"] == 2


def test_a_retraction_again_that_names_something_else_is_a_conflict() -> None:
    assert fed(CALL, retracts("1", 0, "8"), retracts("1", 0, "9")).dead() == [Dead("conflict", "c", "1")]
    assert fed(CALL, retracts("1", 0, "8"), retracts("1", 0, "8")).counters()["duplicates"] == 1


def test_an_id_is_free_again_once_its_call_has_closed() -> None:
    later = Call("c", T + 2 * H)
    assert fed(CALL, (later, T + 2 * H)).counters()["calls"] == 2


def test_a_refused_record_owns_no_id() -> None:
    counters = fed(CALL, asserts("1", H + 1), asserts("1", H)).counters()
    assert (counters["late"], counters["outcomes"]) == (1, 1)


def test_a_statement_after_the_horizon_is_late_and_one_at_the_horizon_is_not() -> None:
    assert reasons(fed(CALL, asserts("1", H))) == []
    assert reasons(fed(CALL, asserts("1", H + 1))) == ["late"]
    assert reasons(fed(asserts("1", H + 1), CALL)) == ["late"]


def test_a_call_past_its_own_closing_is_too_old() -> None:
    close = T + H + LATENESS
    assert reasons(fed((CALL, close))) == []
    assert fed((CALL, close + 1)).dead() == [Dead("too_old", "c", None)]


def test_an_outcome_waits_for_its_call_until_the_watermark_passes_its_time_and_orphan_wait() -> None:
    end = T + ORPHAN_WAIT
    assert fed(asserts("1", 0), wm=end).counters()["waiting"] == 1
    assert reasons(fed(asserts("1", 0), wm=end + 1)) == ["orphan"]
    assert fed(asserts("1", 0), (CALL, end)).counters()["outcomes"] == 1
    assert reasons(fed(asserts("1", 0), (CALL, end + 1))) == ["orphan"]


def test_an_outcome_that_is_read_late_waits_from_then_on() -> None:
    read = T + 5 * ORPHAN_WAIT
    assert fed((asserts("1", 0), read), wm=read + ORPHAN_WAIT).counters()["waiting"] == 1
    assert reasons(fed((asserts("1", 0), read), wm=read + ORPHAN_WAIT + 1)) == ["orphan"]


def test_an_outcome_that_says_when_its_call_was_waits_as_long_as_that_could_come() -> None:
    outcome = Outcome("1", "c", T, success=True, call_at=T)
    close = T + H + LATENESS
    assert close > T + ORPHAN_WAIT
    assert fed(outcome, wm=close).counters()["waiting"] == 1
    assert reasons(fed(outcome, wm=close + 1)) == ["orphan"]


def test_a_repeat_does_not_prolong_the_wait_of_an_outcome() -> None:
    first, again = (asserts("1", 0), T), (asserts("1", 0), T + ORPHAN_WAIT // 2)
    oracle = fed(first, again, wm=T + ORPHAN_WAIT + 1)
    assert (oracle.counters()["duplicates"], reasons(oracle)) == (1, ["orphan"])


def test_an_outcome_for_a_held_call_is_never_an_orphan() -> None:
    assert fed(CALL, (asserts("1", 0), T + H)).counters()["outcomes"] == 1


def test_an_outcome_that_names_a_call_long_gone_is_late_at_once() -> None:
    rules = Rules(H, LATENESS, ORPHAN_WAIT, task_horizon_us={"slow": 2 * H})
    outcome = Outcome("1", "c", T + 3 * H, success=True, call_at=T)
    longest = T + 2 * H + LATENESS
    assert fed((outcome, longest), rules=rules).counters()["waiting"] == 1
    assert reasons(fed((outcome, longest + 1), rules=rules)) == ["late"]


def test_an_outcome_that_comes_after_its_call_has_closed_waits_and_becomes_an_orphan() -> None:
    closed = T + H + LATENESS + 1
    oracle = fed(CALL, (asserts("1", H + LATENESS), closed))
    assert oracle.counters()["waiting"] == 1
    assert reasons(fed(CALL, (asserts("1", H + LATENESS), closed), wm=T + 2 * H)) == ["orphan"]


def test_null_means_absent_and_unknown_fields_are_ignored() -> None:
    line = (
        b'{"call_id":"a","occurred_at":"1970-01-01T01:00:00.5+01:00","task_type":"t","model":"m","config":null,"x":1}'
    )
    assert parse("calls", line) == Call("a", 500_000, "t", "m")


def test_seq_is_the_number_of_statements_and_one_more_once_closing_has_changed_the_verdict() -> None:
    assert fed(CALL).newest_verdicts() == {}
    assert fed(Call("c", T, error="x")).newest_verdicts()["c"]["seq"] == 0
    assert fed(CALL, asserts("1", 1), asserts("2", 2), wm=T + 2 * H).newest_verdicts()["c"]["seq"] == 2
    expired = fed(CALL, asserts("1", 1), retracts("2", 2), wm=T + 2 * H).newest_verdicts()["c"]
    assert (expired["seq"], expired["verdict"], expired["decided_at"]) == (3, "expired", None)


def test_a_verdict_names_the_statement_it_rests_on_and_its_age() -> None:
    row = fed(CALL, asserts("1", 90 * SECOND, score=0.25, source="judge")).newest_verdicts()["c"]
    assert (row["source"], row["outcome_id"], row["score"]) == ("judge", "1", 0.25)
    assert (row["decided_at"], row["age_s"]) == (T + 90 * SECOND, 90.0)


GROUP = ("task", "model", "default")
M = T // MINUTE_US


def test_a_trial_is_a_minute_at_whose_end_the_verdict_is_decided_and_new() -> None:
    oracle = fed(
        CALL, asserts("1", 0), asserts("2", 1, success=False), asserts("3", 3 * MINUTE_US), asserts("4", 4 * MINUTE_US)
    )
    assert oracle.trials() == {GROUP: {M: (0, 1), M + 3: (1, 0)}}


def test_a_verdict_withdrawn_and_given_again_is_another_trial() -> None:
    oracle = fed(CALL, asserts("1", 0), retracts("2", MINUTE_US), asserts("3", 2 * MINUTE_US))
    assert oracle.trials() == {GROUP: {M: (1, 0), M + 2: (1, 0)}}


def test_a_late_record_counts_in_the_open_minute() -> None:
    assert fed(CALL, (asserts("1", 0), T + 7 * MINUTE_US)).trials() == {GROUP: {M + 7: (1, 0)}}


def test_an_outcome_that_waited_keeps_its_minute_but_not_before_that_of_its_call() -> None:
    assert fed((asserts("1", 0), T + MINUTE_US), CALL).trials() == {GROUP: {M + 1: (1, 0)}}
    assert fed(asserts("1", -3 * MINUTE_US), (CALL, T + 2 * MINUTE_US)).trials() == {GROUP: {M + 2: (1, 0)}}


def test_a_silence_verdict_belongs_to_the_minute_of_closing_and_an_error_to_that_of_the_call() -> None:
    rules = Rules(H, LATENESS, ORPHAN_WAIT, task_horizon_us={"task": H}, silence={"task": "failure"})
    assert fed(CALL, wm=T + 5 * H, rules=rules).trials() == {GROUP: {M + 40: (0, 1)}}
    assert fed(Call("c", T, error="x"), wm=T + 5 * H, rules=rules).trials() == {GROUP: {M: (0, 1)}}


def test_a_call_that_expires_is_no_trial() -> None:
    assert fed(CALL, wm=T + 5 * H).trials() == {}


def test_rates_count_calls_in_the_window_of_their_own_time() -> None:
    day = 20_000 * 86_400_000_000
    hour = GRAIN_US["1h"]
    calls = [Call("a", day, cost_usd=0.5), Call("b", day + hour - 1, cost_usd=0.25), Call("c", day + hour)]
    oracle = fed(*calls, Outcome("1", "a", day + H, success=True), Outcome("1", "b", day + H, success=False))
    names = ("window_start", "calls", "failures", "rate", "cost_nano")
    hours = [tuple(row[name] for name in names) for row in oracle.rates_rows("1h")]
    assert hours == [(day, 2, 1, 0.5, 750_000_000), (day + hour, 1, 0, None, 0)]
    assert [(r["calls"], r["failures"], r["pending"]) for r in oracle.rates_rows("1d")] == [(3, 1, 1)]
