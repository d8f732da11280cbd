"""Every sentence of an alert: `reason`, `promise` and `caveat` are written here, and never read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

from aftercall.records import Direction
from aftercall.times import MINUTE_US, to_datetime
from aftercall.vocabulary import OTHER
from models.alarms.alarm import Alarm, MeanChange, RateChange, RuleChange, ShareChange, SourceRateChange, VolumeChange
from models.alerts.rule_text import rate_text, violations_since
from models.alerts.scope import Scope
from models.stats.effect_size import Effect

Turn = Literal["opened", "again", "wider", "reopened", "confirmed"]
"""What a record reports of a success rate: the first change, a further one, the same in a wider scope, a relapse, or
the first one with evidence that supports the promise."""

Contradiction = Literal["excluded", "half"]
"""How later outcomes contradict a report: their interval excludes it, or less than half of the change is left."""

MOST_OF_IT: Final = 0.8
"""Share of a change at which a single value is named."""
UNEVEN: Final = 0.25
"""By how much that must exceed the value's share of the trials."""


LONG_WAIT: Final = 6 * 60.0
"""Minutes from calls to verdicts from which on it matters of which of the two a change is dated."""
_VERBS: Final[dict[Direction, str]] = {"down": "fell", "up": "rose"}


# --- names and numbers -----------------------------------------------------------------------------------------------


def utc_text(us: int) -> str:
    """A time, from microseconds.

    >>> utc_text(0)
    '1970-01-01 00:00 UTC'
    """
    return f"{to_datetime(us):%Y-%m-%d %H:%M} UTC"


def scope_text(scope: Scope) -> str:
    """The calls that an alert is about.

    >>> scope_text((None, "model-a", None))
    "model 'model-a' over all task types"
    >>> scope_text(("refund", "model-a", None))
    "task 'refund', model 'model-a', all configs"
    """
    task, model, config = scope
    if task is None and model is None and config is None:
        return "all task types and models"
    if task is None:
        named = [f"{what} '{value}'" for what, value in (("model", model), ("config", config)) if value is not None]
        return f"{', '.join(named)} over all task types"
    models = "all models" if model is None else f"model '{model}'"
    if config is None:
        return f"task '{task}', {models}" + ("" if model is None else ", all configs")
    return f"task '{task}', {models}, config '{config}'"


_METRICS: Final = {
    "success_rate": "Success rate",
    "latency_ms": "Typical latency",
    "cost_usd": "Typical cost per call",
    "tokens": "Typical number of tokens per call",
    "calls": "Traffic",
    "responses": "Response rate",
}
_VALUES: Final = {"latency_ms": "latencies", "cost_usd": "costs per call", "tokens": "numbers of tokens"}


def metric_text(metric: str) -> str:
    """A metric at the beginning of a sentence; itself where it is none of the detectors'.

    >>> metric_text("latency_ms"), metric_text("responses:user_feedback")
    ('Typical latency', "Response rate of source 'user_feedback'")
    >>> metric_text("success_rate:user_feedback")
    "Success rate by source 'user_feedback' alone"
    >>> metric_text("score:p10:judge")
    "Share of scores by 'judge' above their usual p10"
    """
    if metric in _METRICS:
        return _METRICS[metric]
    name, _, rest = metric.partition(":")
    quantile, _, source = rest.partition(":")
    if name in _VALUES and rest:
        return f"Share of {_VALUES[name]} above their usual {rest}"
    if name == "score" and source and quantile in {"p10", "p50"}:
        return f"Share of scores by '{source}' above their usual {quantile}"
    if name == "success_rate" and rest:
        return f"Success rate by source '{rest}' alone"
    if name in {"score", "responses"} and rest:
        return f"Mean score by '{rest}'" if name == "score" else f"Response rate of source '{rest}'"
    return rate_text(metric)


def subject(metric: str, scope: Scope) -> str:
    """What has changed: metric and scope.

    >>> subject("success_rate", ("refund", None, None))
    "Success rate of task 'refund', all models"
    """
    return f"{metric_text(metric)} of {scope_text(scope)}"


def cost_text(failures_per_day: float) -> str:
    """What a change costs; empty where it costs nothing.

    >>> cost_text(1234.5), cost_text(0.7), cost_text(-3.0)
    (' It costs about 1,200 failures a day.', ' It costs about 1 failure a day.', '')
    """
    if failures_per_day < 0.5:
        return ""
    count = f"{float(f'{failures_per_day:.2g}'):,.0f}"
    return f" It costs about {count} failure{'' if count == '1' else 's'} a day."


def concentration(slices: Sequence[dict[str, Any]]) -> str:
    """A sentence for a value that has most of a change, and far more than of the trials; else empty.

    Args:
        slices: fields of `aftercall.records.Slice`, by dimension, the greatest share first.
    """
    for dimension in ("error", "source", "config", "model", "task_type"):
        rows = [row for row in slices if row["dimension"] == dimension]
        trials = sum(row["trials"] for row in rows)
        if dimension == "error":  # has no trials of its own to have a share of, and many that are one name nothing
            rows, trials = [row | {"trials": 0} for row in rows if row["value"] != OTHER], 0
        if rows and rows[0]["share"] >= max(MOST_OF_IT, rows[0]["trials"] / max(trials, 1) + UNEVEN):
            what = dimension.replace("_", " ").capitalize()
            return f" {what} '{rows[0]['value']}' accounts for {min(rows[0]['share'], 1.0):.0%} of the change."
    return ""


# --- success rates ---------------------------------------------------------------------------------------------------


def rate_changed(scope: Scope, metric: str, effect: Effect, changed: int, turn: Turn = "opened") -> str:
    """A success rate changed, about minute `changed`.

    >>> effect = Effect(0.9, 0.8, -0.13, -0.07, 20.0, 100.0, 10.0, 100.0)
    >>> print(rate_changed(("refund", None, None), "success_rate", effect, 0))  # doctest: +NORMALIZE_WHITESPACE
    Success rate of task 'refund', all models fell from 90.0% to 80.0% (-10.0 points, 99% interval -13.0 to -7.0)
    since about 1970-01-01 00:00 UTC.
    """
    of, since = subject(metric, scope), f"since about {utc_text(changed * MINUTE_US)}"
    verb = _VERBS["down" if effect.points < 0 else "up"]
    difference = _points(effect.points, effect.low, effect.high)
    change = f"from {effect.baseline:.1%} to {effect.current:.1%} ({difference}) {since}"
    match turn:
        case "opened":
            return f"{of} {verb} {change}."
        case "again":
            before = f"{effect.baseline:.1%} before the alert"
            return f"{of} moved again: {effect.current:.1%} {since}, {before} ({difference})."
        case "wider":
            return f"{of} {verb} {change}: the change is wider than first reported."
        case "reopened":
            return f"{of} {verb} again, {change}: the earlier alert is open again."
        case "confirmed":
            return f"{of} {verb} {change}: the evidence now supports the promise."


def rests_on(effect: Effect) -> str:
    """How many outcomes a change rests on, and how they are without allowing for the alarm that selected them.

    >>> rests_on(Effect(0.3, 0.75, 0.1, 0.7, 2.0, 14.0, 700.0, 1000.0))
    ' It rests on 14 outcomes since then, of which 85.7% succeeded.'
    """
    return f" It rests on {_outcomes(effect)} since then, of which {effect.plain:.1%} succeeded."


def rate_measured(scope: Scope, metric: str, effect: Effect, changed: int, hours: int, *, late: bool = False) -> str:
    """The same change on the outcomes of the `hours` after the alarm, or before a late look: it selected neither."""
    verb = _VERBS["down" if effect.points < 0 else "up"]
    when = f"last {hours} h" if late else f"{hours} h after the alarm"
    return (
        f"{subject(metric, scope)} {verb} from {effect.baseline:.1%} to {effect.current:.1%} "
        f"({_points(effect.points, effect.low, effect.high)}) since about {utc_text(changed * MINUTE_US)}, "
        f"measured on the {_outcomes(effect)} of the {when}."
    )


def corrected_text(reported: float, how: Contradiction) -> str:
    """What an alert said before, and how the outcomes of a look contradict it.

    >>> corrected_text(0.865, "excluded"), corrected_text(0.865, "half")[-24:]
    (' The alert said 86.5% before, which these outcomes exclude.', ' of that change is left.')
    """
    return (
        f" The alert said {reported:.1%} before"
        + {
            "excluded": ", which these outcomes exclude.",
            "half": ": less than half of that change is left.",
        }[how]
    )


def _outcomes(effect: Effect) -> str:
    return f"{effect.trials:,.0f} outcome{'' if round(effect.trials) == 1 else 's'}"


def rate_recovered(scope: Scope, metric: str, effect: Effect, back: int, reported: int) -> str:
    """The change that was `reported` (microseconds) is over since minute `back`."""
    levels = f"{effect.current:.1%} ({effect.baseline:.1%} before the change)"
    since = f"since about {utc_text(back * MINUTE_US)}"
    return f"{subject(metric, scope)} is back to {levels} {since}: the change reported {utc_text(reported)} is over."


def _points(points: float, low: float | None, high: float | None) -> str:
    interval = "" if low is None or high is None else f", 99% interval {100 * low:+.1f} to {100 * high:+.1f}"
    return f"{100 * points:+.1f} points{interval}"


# --- any metric ------------------------------------------------------------------------------------------------------


def alarm_text(alarm: Alarm) -> str:
    """What a detector found."""
    of, since, verb = _of(alarm), f"since about {utc_text(alarm.changed_at)}", _VERBS[alarm.direction]
    before, now = _levels(alarm)
    if isinstance(alarm.details, VolumeChange):
        counts = f"{alarm.details.seen:,.0f} of about {alarm.details.expected:,.0f}"
        return f"{of} {verb} to {now}, where {before} were expected ({counts}), {since}.{_a_day(alarm)}"
    if alarm.again:
        return f"{of} moved again: {now} {since}, {before} before the alert{_difference(alarm)}."
    return f"{of} {verb} from {before} to {now}{_difference(alarm)} {since}.{_outcomes_of_source(alarm)}"


def recovery_text(alarm: Alarm, reported: int) -> str:
    """A recovery: the change that was `reported` (microseconds) is over."""
    before, now = _levels(alarm)
    compared = f"{before} before the change"
    if isinstance(alarm.details, VolumeChange):
        compared = f"{alarm.details.seen:,.0f} of about {alarm.details.expected:,.0f} expected"
    since = f"since about {utc_text(alarm.changed_at)}"
    return f"{_of(alarm)} is back to {now} ({compared}) {since}: the change reported {utc_text(reported)} is over."


def sentence_of(alarm: Alarm) -> str:
    """What an alarm means by itself: a change, or a recovery."""
    return alarm_text(alarm) if alarm.ends is None else recovery_text(alarm, alarm.ends.opened_at)


def brief_text(alarm: Alarm) -> str:
    """What an alarm is about and its levels, to stand beside another: without scope and time."""
    _, _, metric = alarm.series
    before, now = _levels(alarm)
    return f"{metric_text(metric)} {_VERBS[alarm.direction]} from {before} to {now}"


def beside_text(others: Sequence[str]) -> str:
    """What else changed in the scope at that time.

    >>> beside_text(["Mean score by 'judge' fell from 0.810 to 0.620", "Typical latency rose from 1 ms to 2 ms (over)"])
    " At the same time: Mean score by 'judge' fell from 0.810 to 0.620; Typical latency rose from 1 ms to 2 ms (over)."
    """
    return f" At the same time: {'; '.join(others)}." if others else ""


def several_text(metric: str, scope: Scope, groups: int, latest: Alarm) -> str:
    """The same change in several groups, of which one alarmed last."""
    return f"{subject(metric, scope)} has changed in {groups} groups. The latest: {sentence_of(latest)}"


def _of(alarm: Alarm) -> str:
    """The subject of the alarm's sentence, with what its levels are held against."""
    _, group, metric = alarm.series
    match alarm.details:
        case ShareChange(level, unit):
            return f"{metric_text(metric)} ({_amount(level, unit)}) of {scope_text(group)}"
        case RateChange(inherited=True):
            return f"{subject(metric, group)}, against the baseline of its roll-up,"
        case _:
            return subject(metric, group)


def _difference(alarm: Alarm) -> str:
    match alarm.details:
        case RateChange() | SourceRateChange() | RuleChange():
            return f" ({_points(alarm.current - alarm.baseline, alarm.effect_low, alarm.effect_high)})"
        case MeanChange(unit) if unit:
            return f" ({alarm.current / alarm.baseline - 1:+.0%})"
        case _:
            return ""


def _outcomes_of_source(alarm: Alarm) -> str:
    """How many outcomes of its source, or checks, a change rests on, in a sentence; empty of other metrics."""
    if not isinstance(alarm.details, SourceRateChange):
        return violations_since(alarm)
    count = round(alarm.evidence["trials_since"])
    return f" It rests on {count:,} outcome{'' if count == 1 else 's'} of '{alarm.details.source}' since then."


def _a_day(alarm: Alarm) -> str:
    """What a change of volume amounts to in a day, in a sentence; empty where that is not known."""
    match alarm.details:
        case VolumeChange(per_day=per_day, share=share) if per_day >= 0.5:
            what = "fewer" if alarm.direction == "down" else "more"
            return f" About {float(f'{per_day:.2g}'):,.0f} a day {what} than usual, {share:.0%} of all."
        case _:
            return ""


def _levels(alarm: Alarm) -> tuple[str, str]:
    """Baseline and current level; of a volume the baseline without its unit."""
    match alarm.details:
        case RateChange() | SourceRateChange() | RuleChange() | ShareChange():
            return f"{alarm.baseline:.1%}", f"{alarm.current:.1%}"
        case MeanChange(unit):
            if not unit:
                return f"{alarm.baseline:.3f}", f"{alarm.current:.3f}"
            return _amount(alarm.baseline, unit), _amount(alarm.current, unit)
        case VolumeChange():
            return f"{alarm.baseline:.3g}", f"{alarm.current:.3g} {alarm.details.unit}"


def _amount(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".rstrip()


# --- the end, and the promise ----------------------------------------------------------------------------------------


def normal_text(metric: str, scope: Scope, opened: int) -> str:
    """The level has stayed for so long, since `opened` (microseconds), that it is the new normal."""
    return f"{subject(metric, scope)} has not come back since {utc_text(opened)}: its present level is the new normal."


def merged_text(metric: str, scope: Scope, wider: Scope) -> str:
    """The change is part of one in a wider scope."""
    return f"{subject(metric, scope)} is part of a wider change: the alert on {scope_text(wider)} stays open."


def promise_text(false_alarms: float) -> str:
    """The promise on false alarms, per 1,000 groups per week."""
    return (
        f"At most {false_alarms:g} false alarms per 1,000 watched groups per week, "
        "over all statistical alerts together, if outcomes are independent but for what hours and days vary."
    )


def too_few_text(trials: float) -> str:
    """A caveat: the baseline is too short."""
    return f"No promise is made: {trials:,.0f} outcomes before the change are too few to know the rate before it."


DAYS_DIFFER: Final = (
    "No promise is made: days of this group differ by more than the promise was tested for, so this may be one of them."
)
"""A caveat."""


SCORES_AGREE: Final = (
    "No promise is made: calls of this task type share conversations, whose scores may agree, and each counts in full."
)
"""A caveat on scores."""


def new_kind_text(kind: str) -> str:
    """A caveat: the change began on a `weekend` or `working day`, the first one."""
    return f"No promise is made: the change began on a {kind}, and the baseline has no other {kind} to compare it with."


def answered_text(before: float, since: float) -> str:
    """A caveat: another share of the calls is answered since the change.

    >>> answered_text(0.171, 0.054)[:86]
    'No promise is made: 17.1% of the calls were answered before the change and 5.4% since,'
    """
    return (
        f"No promise is made: {before:.1%} of the calls were answered before the change and {since:.1%} since, "
        "so those who answer now may not be those who answered before."
    )


def sources_text(source: str, before: float, since: float) -> str:
    """A caveat: verdicts come from other sources since the change."""
    return (
        f"No promise is made: source '{source}' gave {before:.0%} of the verdicts before the change and {since:.0%} "
        "since, and sources may judge differently."
    )


def verdict_time_text(wait_minutes: float) -> str:
    """Of what a change is dated, where that matters: verdicts that come hours after their calls.

    >>> verdict_time_text(90.0), verdict_time_text(26 * 60.0)
    ('', ' That is when the verdicts came, on average 26 hours after their calls.')
    """
    if wait_minutes < LONG_WAIT:
        return ""
    return f" That is when the verdicts came, on average {wait_minutes / 60:.0f} hours after their calls."
