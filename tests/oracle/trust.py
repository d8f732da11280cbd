"""Scores trust slowly and obviously: every check is kept, and weighed again at each instant.

It follows docs/reference.md, section 3, and docs/statistics.md; of `models/trust/` it takes nothing. Minutes must have
calls on every day: what happens on days without any is left out here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from aftercall.trust_record import TRUST_WEIGHTS
from models.stats.minute_delays import EDGES, MIDDLES
from simulated.trusted import RULES, Minute

WEIGHTS: Final[dict[str, float]] = {str(name): weight for name, weight in TRUST_WEIGHTS.items()}
NAMES: Final = tuple(WEIGHTS)
JUDGED: Final = ("accuracy", "acceptance")
Z: Final = 1.96
Row = tuple[str, str | None, str | None]


class Known(NamedTuple):
    """A dimension at an instant."""

    rate: float
    low: float
    high: float


class Scored(NamedTuple):
    """A record, as far as it is compared here; `points` by dimension."""

    end: int
    row: Row
    score: float | None
    low: float | None
    high: float | None
    coverage: float
    known: dict[str, Known]
    points: dict[str, float]


def rows_of(minute: Minute) -> list[Row]:
    """Under which rows a group counts."""
    task, model, config = minute.group
    whole: list[Row] = [] if task == "__other__" else [(task, None, None)]
    return whole + ([minute.group] if whole and "__other__" not in (model, config) else [])


def checked(minute: Minute) -> dict[str, tuple[int, int]]:
    """Passed and checked of a minute, by dimension."""
    good, bad = minute.good + minute.silence - minute.taken_back, minute.bad + minute.taken_back
    found: dict[str, tuple[int, int]] = dict.fromkeys(NAMES, (0, 0)) | {
        "accuracy": (good, good + bad),
        "reliability": (minute.calls - minute.errors, minute.calls),
        "acceptance": (minute.up, minute.up + minute.down),
    }
    for rule, (passed, failed) in zip(RULES, minute.checks, strict=True):
        before = found[rule.dimension]
        found[rule.dimension] = (before[0] + passed, before[1] + passed + failed)
    return found


class Oracle:
    """All minutes, and the half-life in hours."""

    def __init__(self, minutes: Sequence[Minute], half_life: float = 336.0) -> None:
        self.minutes, self.half_life = minutes, half_life
        self.rows = sorted({row for minute in minutes for row in rows_of(minute)}, key=str)
        self.first_day = min(minute.minute for minute in minutes) // 1440
        self.counts = [(m.minute // 60, rows_of(m), checked(m), m) for m in minutes]
        # What was said once is not reckoned twice; nothing here changes.
        for name in ("residual", "products", "shares"):
            setattr(self, name, cache(getattr(self, name)))

    def weight(self, hour: int, end: int) -> float:
        return math.pow(2.0, -(end - 1 - hour) / self.half_life)

    def aged(self, row: Row, name: str, end: int, begin: int = -1, until: int = 2**62) -> tuple[float, float]:
        """Passed and checked of the hours within [begin, until) and before `end`, as they weigh at `end`."""
        some = [(h, c[name]) for h, rows, c, _ in self.counts if row in rows and begin <= h < min(until, end)]
        return sum(self.weight(h, end) * c[0] for h, c in some), sum(self.weight(h, end) * c[1] for h, c in some)

    def effect(self, row: Row, end: int) -> float:
        own = [(self.weight(h, end), m) for h, rows, _, m in self.counts if row in rows and h < end]
        shared = max(sum(w * m.excess for w, m in own), 0.0)
        few = max(sum(w * (m.good + m.silence + m.bad + m.taken_back) for w, m in own), 1.0)
        return min(1 + shared / 64 / few, few)

    def residual(self, row: Row, name: str, day: int) -> float | None:
        """Of a whole day: failures beyond those expected, over their standard error."""
        begin, end = day * 24, day * 24 + 24
        passed_before, before = self.aged(row, name, end, until=begin)
        of_day = [c[name] for h, rows, c, _ in self.counts if row in rows and begin <= h < end]
        passed, n = sum(p for p, _ in of_day), sum(c for _, c in of_day)
        if before < 5 or n < 5:
            return None
        rate = (min(max(passed_before, 0.0), before) + 0.5) / (before + 1)
        z = (rate * n - passed) / math.sqrt(n * rate * (1 - rate) * (1 + n / before))
        most = 5 * math.sqrt(self.effect(row, end))
        return min(max(z, -most), most)

    def products(self, row: Row, last: int) -> tuple[dict[Any, float], dict[Any, float]]:
        """Sums of products of residuals over the row's pool, by pair of dimensions, and of days before the `last`."""
        sums: dict[Any, float] = {}
        days: dict[Any, float] = {}
        pool = [other for other in self.rows if other[0] == row[0] and (other[1] is None) == (row[1] is None)]
        for day in range(self.first_day, last):
            older = math.exp(-(last - 1 - day) / 56)
            for other in pool:
                z = {name: self.residual(other, name, day) for name in NAMES}
                before = {
                    name: sum(self.residual(other, name, day - lag) or 0.0 for lag in (1, 2, 3) if day - lag >= 0)
                    for name in NAMES
                }
                for i in NAMES:
                    for j in NAMES:
                        one, two = z[i], z[j]
                        if one is None or two is None:
                            continue
                        if i in JUDGED and j not in JUDGED:
                            two += before[j]
                        if j in JUDGED and i not in JUDGED:
                            one += before[i]
                        sums[i, j] = sums.get((i, j), 0.0) + older * one * two
                        days[i, j] = days.get((i, j), 0.0) + older
        return sums, days

    def shares(self, task: str, day: int) -> tuple[list[list[float]], list[float]]:
        """Of failures and of successes the share of each bucket, and how many verdicts they rest on."""
        counts = [[0.0] * len(EDGES) for _ in (0, 1)]
        for m in self.minutes:
            if m.group[0] != task:
                continue
            late = m.minute - int(MIDDLES[m.bucket])
            released = max(math.ceil(late // 1440 + 1 + 73 / 24), m.minute // 1440 + 1)
            if released <= day:
                older = math.exp(-(day - released) / 28)
                counts[0][m.bucket] += older * (m.bad + m.taken_back)
                counts[1][m.bucket] += older * (m.good + m.silence)
        both = [a + b for a, b in zip(*counts, strict=True)]
        total = sum(both)
        if not total:
            return counts, [0.0, 0.0]
        drawn = [[n + 10 * b / total for n, b in zip(own, both, strict=True)] for own in counts]
        return [[n / sum(own) for n in own] for own in drawn], [sum(own) for own in counts]

    def expected(self, row: Row, end: int) -> tuple[list[float], list[float], bool]:
        """E and A of failures and successes, and whether they rest on enough."""
        share, settled = self.shares(row[0], end // 24)
        if sum(settled) < 10:
            return [0.0, 0.0], [0.0, 0.0], False
        e, a = [0.0, 0.0], [0.0, 0.0]
        for hour, rows, _, m in self.counts:
            calls = m.calls + m.attempts
            if row not in rows or hour >= end or not calls:
                continue
            index = end - 1 - hour
            for kind in (0, 1):
                plain = grown = 0.0
                for k, part in enumerate(share[kind]):
                    width = int(EDGES[k + 1] - EDGES[k]) if k + 1 < len(EDGES) else 1
                    come = 1.0 if index >= 73 else min(max(((index + 0.5) * 60 - int(EDGES[k])) / width, 0.0), 1.0)
                    plain += part * come
                    grown += part * come * 2.0 ** (float(MIDDLES[k]) / 60 / self.half_life)
                e[kind] += calls * self.weight(hour, end) * grown
                if index < 73:
                    rests = max(settled[kind] + 10, 1.0)
                    error = math.sqrt(max(plain * (1 - plain), 0.0) / rests)
                    a[kind] += calls * self.weight(hour, end) * error
        return e, a, True


def wilson(passed: float, n: float) -> tuple[float, float]:
    rate = passed / n
    centre = (rate + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    return 0.0 if passed <= 0 else max(centre - half, 0.0), 1.0 if passed >= n else min(centre + half, 1.0)


def scored(oracle: Oracle, row: Row, end: int, before: dict[str, Known] | None) -> Scored:
    """What is known of a row at an instant; `before`: the same of the row 24 h before."""
    effect = oracle.effect(row, end)
    sums, days = oracle.products(row, end // 24)
    counts = {name: oracle.aged(row, name, end) for name in NAMES}
    n = {name: max(c, 0.0) for name, (_, c) in counts.items()}
    passed = {name: min(max(p, 0.0), n[name]) for name, (p, _) in counts.items()}
    wide = {
        name: max((sums.get((name, name), 0.0) + 4 * effect) / (days.get((name, name), 0.0) + 4), 1.0) for name in NAMES
    }
    known: dict[str, Known] = {}
    for name in NAMES:
        width = max(wide[name], effect) if name == "accuracy" else wide[name]
        if n[name] < width:
            continue
        if name != "accuracy":
            known[name] = Known(passed[name] / n[name], *wilson(passed[name] / width, n[name] / width))
            continue
        good, bad = passed[name], n[name] - passed[name]
        e, a, enough = oracle.expected(row, end)
        if not enough or min(e) <= 0:
            continue
        logit = math.log((good + 0.5) / (bad + 0.5)) - math.log(e[1] / e[0])
        variance = 1 / (good / width + 0.5) + 1 / (bad / width + 0.5) + sum((a[k] / e[k]) ** 2 for k in (0, 1))
        low, high = (1 / (1 + math.exp(-logit - sign * Z * math.sqrt(variance))) for sign in (-1, 1))
        rate = good * e[0] / (good * e[0] + bad * e[1])
        known[name] = Known(rate, min(low, rate), max(high, rate))
    coverage = sum(WEIGHTS[name] for name in known)
    if not known:
        return Scored(end, row, None, None, None, 0.0, known, {})
    share = _shares(known)
    score = sum(share[name] * known[name].rate for name in known)

    def correlation(i: str, j: str) -> float:
        if i == j:
            return 1.0
        odds = [min(max(1 - passed[k] / n[k], 1e-9), 1 - 1e-9) for k in (i, j)]
        ratio = math.sqrt(odds[0] / (1 - odds[0]) / (odds[1] / (1 - odds[1])))
        fewer = math.sqrt(n[i] / n[j])
        most = min(ratio, 1 / ratio) * min(fewer, 1 / fewer)
        seen = sums.get((i, j), 0.0) / math.sqrt(wide[i] * wide[j])
        return min(max((seen + 4 * most) / (days.get((i, j), 0.0) + 4), -1.0), 1.0)

    ends = []
    for side in ("low", "high"):
        part = {name: share[name] * abs(known[name].rate - getattr(known[name], side)) for name in known}
        square = sum(part[i] * part[j] * correlation(i, j) for i in known for j in known)
        ends.append(math.sqrt(max(square, 0.5 * sum(d * d for d in part.values()))))
    low, high = max(score - ends[0], 0.0), min(score + ends[1], 1.0)
    return Scored(end, row, 1000 * score, 1000 * low, 1000 * high, coverage, known, _points(known, before))


def _shares(known: dict[str, Known]) -> dict[str, float]:
    total = sum(WEIGHTS[name] for name in known)
    return {name: WEIGHTS[name] / total for name in known}


def _points(known: dict[str, Known], before: dict[str, Known] | None) -> dict[str, float]:
    if not before:
        return {}
    v, w = _shares(known), _shares(before)
    means = sum(v[k] * known[k].rate for k in known), sum(w[k] * before[k].rate for k in before)
    found = {}
    for name in {*known, *before}:
        p = known.get(name, before.get(name, Known(0, 0, 0))).rate
        q = before.get(name, known.get(name, Known(0, 0, 0))).rate
        a, b = v.get(name, 0.0), w.get(name, 0.0)
        found[name] = 1000 * ((a + b) / 2 * (p - q) + (a - b) * ((p + q) / 2 - sum(means) / 2))
    return found


def records(minutes: Sequence[Minute], through: int) -> list[Scored]:
    """All records of closed hours before `through`, minutes."""
    oracle, found = Oracle(minutes), list[Scored]()
    alive: set[Row] = set()
    seen: dict[Row, list[tuple[int, dict[str, Known]]]] = {row: [] for row in oracle.rows}
    first = min(minute.minute for minute in minutes) // 60
    for end in range(first + 1, through // 60 + 1):
        touched = set()
        for row in oracle.rows:
            of_hour = [c for h, rows, c, _ in oracle.counts if h == end - 1 and row in rows]
            if any(sum(c[name][side] for c in of_hour) for name in NAMES for side in (0, 1)):
                touched.add(row)
        if end % 24 == 0:
            touched |= alive
        for row in sorted(touched, key=lambda one: tuple(part or "" for part in one)):
            day_before = [known for at, known in seen[row] if at <= end - 24]
            one = scored(oracle, row, end, day_before[-1] if day_before else None)
            seen[row].append((end, one.known))
            alive = alive | {row} if one.coverage else alive - {row}
            found.append(one)
    return found
