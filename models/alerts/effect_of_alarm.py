"""What an alarm on a success rate says by the counts of its detector, allowing for their selection."""

from __future__ import annotations

from typing import Any

from models.alarms.alarm import Alarm, RuleChange
from models.alarms.digits import significant
from models.alarms.mirrored import mirrored
from models.alerts.caveat import caveat
from models.alerts.sentences import promise_text
from models.stats.effect_size import Effect, unselected


def effect_of_alarm(alarm: Alarm) -> Effect | None:
    """The effect by the counts of the detector; on a rule, that on the rate of what keeps to it."""
    alarm = mirrored(alarm) if isinstance(alarm.details, RuleChange) else alarm
    names = ("failures_since", "trials_since", "failures_before", "trials_before")
    if alarm.effect_low is None or alarm.effect_high is None or not set(names) <= set(alarm.evidence):
        return None
    counts = (alarm.evidence[name] for name in names)
    effect = Effect(alarm.baseline, alarm.current, alarm.effect_low, alarm.effect_high, *counts)
    return unselected(effect, effect.baseline_trials, alarm.direction)


def allowed_for(alarm: Alarm) -> Alarm:
    """The alarm on the rate of a source or a rule with the level that is left once its selection is allowed for."""
    effect = effect_of_alarm(alarm)
    if effect is None:
        return alarm
    baseline, current, low, high = map(significant, (effect.baseline, effect.current, effect.low, effect.high))
    if isinstance(alarm.details, RuleChange):
        alarm = mirrored(alarm)
        return mirrored(alarm._replace(baseline=baseline, current=current, effect_low=low, effect_high=high))
    return alarm._replace(baseline=baseline, current=current, effect_low=low, effect_high=high)


def doubted(alarm: Alarm) -> dict[str, Any]:
    """Promise and caveat of an alert on the rate of a source or a rule: without enough before it there is none."""
    effect = effect_of_alarm(alarm)
    if effect is None or alarm.promise is None:
        return {}
    threshold = alarm.evidence["threshold"]
    trials = effect.baseline_trials
    doubt = caveat(rate=effect.baseline, changed=effect.plain, trials=trials, threshold=threshold)
    return {"promise": promise_text(alarm.promise) if doubt is None else None, "caveat": doubt}
