"""Which mark an alert names: the oracle's, at any cut, across restarts; one that comes later with the next record."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.records import Alert, to_json
from aftercall.times import MINUTE_US, to_datetime, to_us
from models.alarms.alarm import Alarm, by_time
from models.alerts.alerting import Alerting
from models.alerts.marks import MOST_MARKS, Marks
from models.drift.success_rate.detector import SuccessRateDetector
from models.messages import Deployed
from oracle import marks as oracle
from simulated.trials import DAY, HOUR, NO_WAIT, START, Trials, for_alerts, simulate

GROUP = ("refund", "atlas", "v1")
CHANGED = 8 * DAY - 100
END = 11 * DAY


def deployed(minute: int, task: str, at: int, name: str = "m") -> Deployed:
    """A mark that is known from minute `minute` + 1 on; both in minutes after START."""
    return Deployed(START + minute, (START + at) * MINUTE_US, name, task, f"text of {name}")


def alert(task: str, changed: int | None, updated: int) -> Alert:
    fields: dict[str, Any] = {
        **dict.fromkeys(
            ("closed_at", "model", "config", "baseline", "current", "effect_low", "effect_high", "promise")
        ),
        "seq": 1,
        "alert_id": "0" * 32,
        "state": "opened",
        "kind": "drift",
        "severity": "info",
        "metric": "success_rate",
        "direction": "down",
        "evidence": {},
        "reason": "It fell.",
        "task_type": task,
        "opened_at": to_datetime((START + updated) * MINUTE_US),
        "updated_at": to_datetime((START + updated) * MINUTE_US),
        "changed_at": None if changed is None else to_datetime((START + changed) * MINUTE_US),
    }
    return Alert.sealed(**fields)


def scorer(source: str, minute: int) -> Deployed:
    """A new scorer of a source, known from the next minute on."""
    return deployed(minute, "*", minute, f"scorer of {source}")._replace(source=source)


minutes = st.one_of(st.integers(0, 3 * DAY), st.sampled_from([0, 1, 59, 60, 61, DAY, DAY + 60, DAY + 61, 2 * DAY]))
tasks = st.sampled_from(["refund", "search", "*"])


@settings(max_examples=300)
@given(st.lists(st.tuples(minutes, tasks, minutes), max_size=8), tasks, minutes, minutes)
def test_the_mark_that_is_named_is_the_oracles(
    sent: list[tuple[int, str, int]], task: str, changed: int, updated: int
) -> None:
    marks = sorted(deployed(max(known, at), of, at, f"m{n}") for n, (known, of, at) in enumerate(sent))
    known = Marks()
    known.add(marks, 0, START + updated)
    named = Marks(known.state()).named(alert(task, changed, updated))
    wanted = oracle.nearest(
        [oracle.Mark(one.mark_id, one.at, one.task_type, one.text, one.minute) for one in marks],
        *(task, (START + changed) * MINUTE_US, (START + updated) * MINUTE_US),
    )
    assert (named.mark and named.mark.mark_id) == (wanted and wanted.mark_id)
    if wanted is None:
        assert named == alert(task, changed, updated)
    else:
        assert named.reason.startswith(f"It fell. Nearest mark: 'text of {wanted.mark_id}', ")
        assert named.event_id != alert(task, changed, updated).event_id


def test_an_alert_without_a_time_of_change_names_no_mark() -> None:
    known = Marks([deployed(0, "*", 0)])
    assert known.named(alert("refund", None, 5)).mark is None


def test_a_mark_without_a_text_is_named_by_its_id() -> None:
    known = Marks([deployed(0, "refund", 0)._replace(text=None)])
    named = known.named(alert("refund", 0, 5))
    assert named.reason == "It fell. Nearest mark: 'm', 2025-02-20 00:00 UTC."


def test_only_the_newest_marks_can_be_named() -> None:
    known = Marks()
    known.add([deployed(0, "refund", 0, "oldest")], 0, START + 1)
    known.add([deployed(1, "refund", DAY + n, str(n)) for n in range(MOST_MARKS)], START + 1, START + 2)
    assert known.named(alert("refund", 5, 10)).mark is None


def test_a_new_scorer_is_named_by_alerts_on_its_source_alone() -> None:
    known = Marks(Marks([scorer("judge", 100), deployed(90, "*", 90, "v8")]).state())
    of = alert("refund", 120, 130)
    for metric, name in (
        ("score:judge", "scorer of judge"),
        ("score:p50:judge", "scorer of judge"),
        ("responses:judge", "scorer of judge"),
        ("score:people", "v8"),
        ("responses:judges", "v8"),
        ("responses", "v8"),
        ("success_rate", "v8"),
    ):
        mark = known.named(of.model_copy(update={"metric": metric})).mark
        wanted = oracle.nearest(
            [
                oracle.Mark(one.mark_id, one.at, "*", one.text, one.minute, one.source)
                for one in (scorer("judge", 100), deployed(90, "*", 90, "v8"))
            ],
            *("refund", (START + 120) * MINUTE_US, (START + 130) * MINUTE_US, metric),
        )
        assert mark is not None
        assert wanted is not None
        assert mark.mark_id == wanted.mark_id == name, metric
        assert mark.source == ("judge" if name.startswith("scorer") else None)


def stream() -> Trials:
    return simulate({GROUP: [(0, 0.9), (CHANGED, 0.6)]}, END, per_day=2000)


def records(cuts: list[int], marks: list[Deployed], *, resume: bool = False) -> list[Alert]:
    trials = stream()
    detector, stage = SuccessRateDetector(NO_WAIT), Alerting(for_alerts(NO_WAIT))
    found: list[Alert] = []
    begin = 0
    for until in [*sorted(set(cuts)), END]:
        closed = trials.between(begin, until)
        own = tuple(sorted(one for one in marks if START + begin <= one.minute < START + until))
        alarms: list[Alarm] = sorted(detector.close(closed), key=by_time)
        found += stage.close(closed._replace(marks=own), alarms)
        if resume:
            stage = Alerting.from_state(stage.state(), for_alerts(NO_WAIT))
        begin = until
    return found


def test_the_alert_on_a_drop_names_the_deployment_before_it_and_no_cut_changes_that() -> None:
    marks = [
        deployed(CHANGED - 2 * DAY, "refund", CHANGED - 2 * DAY, "long before"),
        deployed(CHANGED - HOUR, "refund", CHANGED - HOUR, "v8"),
        deployed(CHANGED - HOUR + 5, "search", CHANGED - HOUR + 5, "another task"),
        deployed(CHANGED + 2 * DAY, "*", CHANGED + 2 * DAY, "long after"),
    ]
    whole = records([], marks)
    down = [one for one in whole if one.direction == "down"]
    assert down[0].state == "opened"
    assert {one.mark.mark_id if one.mark else None for one in down} == {"v8"}
    assert all("Nearest mark: 'text of v8'" in one.reason and "because" not in one.reason for one in down)
    wanted = list(map(to_json, whole))
    for cuts in ([CHANGED - HOUR, CHANGED], list(range(0, END, 97)), list(range(7, END, DAY))):
        assert list(map(to_json, records(cuts, marks))) == wanted
        assert list(map(to_json, records(cuts, marks, resume=True))) == wanted


def test_a_mark_that_comes_later_enters_with_the_next_record() -> None:
    opened, *_ = records([], [])
    came = to_us(opened.opened_at) // MINUTE_US - START + 1
    late = [deployed(came, "refund", CHANGED - HOUR, "late")]
    first, *others = (one for one in records([], late) if one.alert_id == opened.alert_id)
    assert first == opened
    assert [one.mark and one.mark.mark_id for one in others] == ["late"] * len(others) != []


def test_a_state_of_before_knows_no_marks() -> None:
    before = {name: part for name, part in Alerting(for_alerts(NO_WAIT)).state().items() if name != "marks"}
    assert Alerting.from_state(Alerting.MIGRATIONS[3](before), for_alerts(NO_WAIT)).state()["marks"] == []
