"""Counts false alarms of river's defaults and of the rule of thumb, on independent outcomes.

The counts are per 1,000 group-weeks, after a week of history, until a group's first alarm. River's detectors are fed
event by event, at even intervals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.detection import promise, rule
from benchmarks.detection.hours import counts
from benchmarks.detection.peers import PEERS, Peer
from benchmarks.detection.populations import STREAMS, Levels, Population, population
from benchmarks.detection.promise import NEVER
from models.arrays import I64

_SEED = 23


def table(groups: int, rule_groups: int, weeks: int) -> list[dict[str, Any]]:
    """A row per detector; groups are watched for `weeks` weeks after the history."""
    rng = np.random.default_rng(_SEED)
    people = population(groups, rng)
    rows = [_row(f"river {peer.name}", peer_alarms(peer, people, weeks), weeks) for peer in PEERS]
    people = population(rule_groups, rng)
    hours = (1 + weeks) * 168
    traffic = list(promise.batches(Levels(STREAMS[0], people, rng), people, hours, 60, rng))
    failures, trials = counts(traffic, hours, rule_groups)
    for least in (1, 100):
        name = f"last 48 h against 7 days, more than 5 points, {least} outcomes at least"
        rows.append(_row(name, rule.first_alarms(failures, trials, least, 168) / 168, weeks))
    return rows


def _row(name: str, alarms: np.ndarray[Any, np.dtype[Any]], weeks: int) -> dict[str, Any]:
    """The row of a detector; `alarms`: weeks from the history to each group's first alarm, negative without one."""
    count = int((alarms >= 0).sum())
    exposure = float(np.where(alarms < 0, weeks, alarms).sum())
    return {
        "method": name,
        "groups": len(alarms),
        "alarms": count,
        "group_weeks": exposure,
        "per_1000_group_weeks": 1000 * count / exposure,
    }


def peer_alarms(peer: Peer, people: Population, weeks: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Weeks from the end of the history, one week, to each group's first alarm at river's default; negative without."""
    rng = np.random.default_rng(_SEED + 1)
    order = np.argsort(people.per_day)
    per_week, failure = 7 * people.per_day[order], people.failure[order].astype(np.float32)
    history, last = per_week.astype(np.int64), (per_week * (1 + weeks)).astype(np.int64)
    watcher, found = peer.start(len(order), peer.default), np.full(len(order), NEVER, np.int64)
    going: I64 = np.arange(len(order))
    for event in range(int(last[-1])):
        if event % 200 == 0:
            still = np.flatnonzero((last[going] > event) & (found[going] == NEVER))
            if len(still) < len(going):
                watcher.keep(still)
                going = going[still]
            if not len(going):
                break
            draws = rng.random((200, len(going)), dtype=np.float32) < failure[going]
        over = going[watcher.step(draws[event % 200]) > 0]
        over = over[(event >= history[over]) & (event < last[over]) & (found[over] == NEVER)]
        found[over] = event
    alarms = np.empty(len(order))
    alarms[order] = np.where(found == NEVER, NEVER, (found + 1 - history) / per_week)
    return alarms
