"""Looks at what has begun at a known moment, and alarms where it is worse or better than what was before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.records import Direction
from aftercall.times import MINUTE_US, MINUTES_PER_DAY, MINUTES_PER_WEEK
from aftercall.vocabulary import OTHER
from models.alarms.alarm import Alarm, Began, RateChange
from models.alarms.open_alarms import OpenAlarms
from models.arrays import I64
from models.drift.settings import DriftSettings
from models.drift.success_rate.alarm import rate_alarm
from models.drift.success_rate.daily_trials import Rows
from models.drift.success_rate.known_moment.arms import Trials, trials_since
from models.drift.success_rate.known_moment.following import Following
from models.drift.success_rate.known_moment.moments import MOST_MOMENTS, Candidates, KnownMoment, plain
from models.drift.success_rate.series import NONE, SeriesIndex
from models.drift.trial_history import TrialHistory
from models.messages import Deployed, TrialDeltas
from models.stats.alpha_account import LOOK_LEVELS, OF_FALLS, AlphaAccount
from models.stats.dispersion import Dispersion
from models.stats.two_samples import TwoArms

_KIND, _METRIC = "drift", "success_rate"
_NOT_YET: Final = -1
_SIDES: Final[tuple[tuple[Direction, str, float], ...]] = (("down", "worse", OF_FALLS), ("up", "better", 1 - OF_FALLS))


class _Look(NamedTuple):
    minute: int
    moment: KnownMoment


class KnownMoments:
    """Moments under test, and the account that pays for their looks. Nothing depends on how minutes are cut.

    Memory: 16 bytes per watch, and 300 per moment under test, `MOST_MOMENTS` at most. A look reads the history of two
    or three watches, and a new arm that of all.
    """

    def __init__(self, settings: DriftSettings, watches: SeriesIndex, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance; None in a state of before there were any."""
        kept: dict[str, Any] = {} if state is None else state
        none = np.zeros(0, np.int64)
        self._settings, self._watches = settings, watches
        self._account = AlphaAccount(kept.get("balance", 0.0))
        self._candidates = Candidates(kept.get("waiting", ()))
        self._moments = [KnownMoment(**{**one, "part": tuple(one["part"])}) for one in kept.get("moments", ())]
        self._following = Following(kept.get("followed", {}))
        self._paid_until: I64 = kept.get("paid_until", none)
        self._since: I64 = kept.get("since", none)
        self.open = OpenAlarms(settings.new_normal_after_us, kept.get("book"))

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "balance": self._account.balance,
            "waiting": self._candidates.state(),
            "moments": plain(self._moments),
            "followed": self._following.state(),
            "paid_until": self._paid_until,
            "since": self._since,
            "book": self.open.state(),
        }

    def appear(self, levels: I64, trials: TrialDeltas, known: int, warmup: I64) -> None:
        """Of a message: new watches, from number `known` on; see `Candidates.appear`."""
        more = len(self._watches) - len(self._paid_until)
        self._paid_until = np.concatenate((self._paid_until, np.full(more, _NOT_YET, np.int64)))
        if len(self._watches) > known:
            self._candidates.appear(levels, trials, known, self._watches, warmup)

    def deployed(self, marks: Sequence[Deployed]) -> None:
        """Of a message: marks whose minute has closed."""
        self._candidates.deployed(marks)

    def begin_day(self, day: int, since: I64) -> None:
        """UTC day `day` begins; `since`: the minute from which each watch's baseline is, which holds for the day."""
        self._since = since.copy()
        self._moments = [one for one in self._moments if not one.old(day * MINUTES_PER_DAY)][-MOST_MOMENTS:]

    def look(self, rows: Rows, history: TrialHistory, dispersion: Dispersion) -> list[Alarm]:
        """Take in the trials of one UTC day, some, which the history does not have yet; alarms by time."""
        trials = Trials(history, rows)
        last = int(rows.minute.max())
        begun = self._candidates.begin(last, self._watches, trials, self._settings.min_trials)
        self._moments += [moment for moment in begun if self._tested(moment)]
        payments = self._payments(rows)
        alarms: list[Alarm] = []
        paid = 0
        for look in sorted(self._due(rows), key=self._order):
            due = int(np.searchsorted(payments, look.minute, side="right"))
            self._account.pay_in((due - paid) * self._settings.known_moment_alpha)
            paid = due
            alarms += self._one(look, trials, dispersion)
        self._account.pay_in((len(payments) - paid) * self._settings.known_moment_alpha)
        self._moments = [moment for moment in self._moments if not moment.looked]
        return alarms

    def _tested(self, moment: KnownMoment) -> bool:
        """Not of what has folded, which changes with who is in it, nor where silence decides: one kind comes first."""
        group = self._watches.groups[moment.watch]
        return OTHER not in group and group[0] not in self._settings.unpromised_tasks

    def _payments(self, rows: Rows) -> I64:
        """Minutes at which watches pay for a week of theirs that begins, ascending."""
        due = rows.minute >= self._paid_until[rows.watch]
        watch, minute = rows.watch[due], rows.minute[due]
        first = np.flatnonzero(np.diff(watch, prepend=_NOT_YET))
        self._paid_until[watch[first]] = minute[first] + MINUTES_PER_WEEK
        return np.sort(minute[first])

    def _due(self, rows: Rows) -> list[_Look]:
        """The looks that these trials bring, and the trials counted."""
        looks = []
        for moment in self._moments:
            minutes, counts = trials_since(rows, moment.watch, moment.minute)
            if not len(minutes):
                continue
            seen = moment.trials + np.cumsum(counts)
            reached = np.searchsorted(LOOK_LEVELS, seen, side="right")
            (at,) = np.diff(reached, prepend=moment.next_look).nonzero()
            looks += [_Look(minute, moment) for minute in minutes[at].tolist()]
            moment.trials = float(seen[-1])
        return looks

    def _order(self, look: _Look) -> tuple[Any, ...]:
        group = self._watches.groups[look.moment.watch]
        return look.minute, tuple(part or "" for part in group), look.moment.minute, look.moment.mark or ""

    def _one(self, look: _Look, trials: Trials, dispersion: Dispersion) -> list[Alarm]:
        minute, moment = look
        if all(moment is not one for one in self._moments):
            return []  # it has alarmed
        against = moment.against
        since = int(self._since[against]) if against < len(self._since) else _NOT_YET
        found = moment.compared(minute, since, trials, dispersion)
        if found is None:
            return []
        alpha = self._account.take()
        moment.paid += alpha
        group = self._watches.groups[moment.watch]
        for direction, p, part in _SIDES:
            if (chance := getattr(found, p)) <= part * alpha:
                return [self._promised(look, found, direction, chance, part * alpha)]
            others = self._following.others(group, direction, minute)
            if others and not moment.followed and chance <= Following.ALPHA:
                moment.followed = True
                return [self._alarm(look, found, direction, chance, Following.ALPHA, others)]
        return []

    def _promised(self, look: _Look, found: TwoArms, direction: Direction, p: float, alpha: float) -> Alarm:
        """An alarm within the promise, which ends its moment and gives back what that has paid."""
        self._moments = [one for one in self._moments if one is not look.moment]
        self._account.pay_in(look.moment.paid)
        self._following.add(self._watches.groups[look.moment.watch], direction, look.minute)
        return self._alarm(look, found, direction, p, alpha, ())

    def _alarm(
        self, look: _Look, found: TwoArms, direction: Direction, p: float, alpha: float, others: tuple[str, ...]
    ) -> Alarm:
        """`others`: task types in which the same arm had alarmed, without which this were no alarm."""
        minute, moment = look
        at = (minute + 1) * MINUTE_US
        self.open.expire(at)
        evidence = {"p_value": p, "inflation": found.inflation, "following": float(len(others))}
        alarm = rate_alarm(
            self._settings,
            (_KIND, self._watches.groups[moment.watch], _METRIC),
            direction,
            at,
            found.before,
            found.since,
            moment.minute,
            evidence=evidence,
            threshold=1 / alpha,
        )
        details = RateChange(inherited=False, began=Began(self._began(moment), self._against(moment), others))
        promise = None if others else alarm.promise
        return self.open.add(alarm._replace(details=details, promise=promise), found.before)

    def _began(self, moment: KnownMoment) -> str:
        _, model, config = self._watches.groups[moment.watch]
        if moment.mark is not None:
            return f"mark '{moment.mark}'"
        return f"config '{config}'" if self._same_model(moment) else f"model '{model}'"

    def _against(self, moment: KnownMoment) -> str:
        if moment.roll_up == NONE:
            return "what was before it"
        _, model, config = self._watches.groups[moment.against]
        return f"config '{config}'" if self._same_model(moment) else f"model '{model}', config '{config}'"

    def _same_model(self, moment: KnownMoment) -> bool:
        return bool(self._watches.parent[moment.watch] == self._watches.parent[moment.against])
