"""ADWIN's evidence on an alarm is its window on the trials before it, however minutes are cut into messages."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
from river.drift import ADWIN

from aftercall.times import MINUTE_US
from models.arrays import I64
from models.drift.adwin import BUSY, AdwinEvidence
from models.messages import NO_VALUES, AnyGroup, Closed, TrialDeltas

DAY = 1440
START = 20_139 * DAY
TASK: AnyGroup = ("t", None, None)


def message(failures: I64, trials: I64, begin: int, end: int) -> Closed:
    """Trials of two groups by the minute, arrays of shape (2, minutes)."""
    code, minute = np.nonzero(trials[:, begin:end])
    order = np.argsort(minute, kind="stable")
    code, minute = code[order], minute[order] + begin
    bad = failures[code, minute].astype(np.int32)
    good = (trials[code, minute] - bad).astype(np.int32)
    none = np.zeros(len(code), np.int32)
    rows = TrialDeltas(code.astype(np.int32), (START + minute).astype(np.int32), good, bad, none, none, none)
    return Closed(START + end, [("t", "m", "a"), ("t", "n", "a")], rows, NO_VALUES)


def traffic(days: int, per_minute: float, drop_at: int) -> tuple[I64, I64]:
    rng = np.random.default_rng(1)
    trials = rng.poisson(per_minute, (2, days * DAY))
    failing = np.where(np.arange(days * DAY) < drop_at, 0.1, 0.4)
    return rng.binomial(trials, failing), trials


def test_the_window_after_a_drop_holds_the_new_rate() -> None:
    failures, trials = traffic(4, 0.5, 3 * DAY)
    at = (START + 3 * DAY + 1000) * MINUTE_US
    groups: list[AnyGroup] = [TASK, ("t", "m", None), ("t", "m", "a"), ("t", "m", "b")]
    *known, unknown = AdwinEvidence().windows(message(failures, trials, 0, 4 * DAY), [(group, at) for group in groups])
    for evidence in known:
        assert evidence["adwin_rate"] == pytest.approx(0.6, abs=0.06)
        assert 100 < evidence["adwin_trials"] < 2000
    assert unknown == {}


def test_it_is_the_window_of_adwin_on_the_trials_before_the_instant() -> None:
    failures, trials = traffic(2, 0.5, 10**9)
    until = DAY + 500
    (evidence,) = AdwinEvidence().windows(message(failures, trials, 0, 2 * DAY), [(TASK, (START + until) * MINUTE_US)])
    adwin = ADWIN()
    for bad, n in zip(failures.sum(axis=0)[DAY:until], trials.sum(axis=0)[DAY:until], strict=True):
        for place in range(n):
            adwin.update(0.0 if (place + 1) * bad // n > place * bad // n else 1.0)
    assert evidence == {"adwin_rate": adwin.estimation, "adwin_trials": adwin.width}


def test_a_group_that_is_not_busy_has_no_window() -> None:
    failures, trials = traffic(3, BUSY / DAY * 0.4, 10**9)
    quiet, together = AdwinEvidence().windows(
        message(failures, trials, 0, 3 * DAY),
        [(group, (START + 3 * DAY) * MINUTE_US) for group in (("t", "m", "a"), TASK)],
    )
    assert quiet == {}
    assert together == {}


def test_cuts_and_restores_change_nothing() -> None:
    failures, trials = traffic(3, 0.4, 2 * DAY + 300)
    moments = [DAY + 7, 2 * DAY + 400, 3 * DAY]
    asked: list[tuple[AnyGroup, int]] = [(TASK, (START + moment) * MINUTE_US) for moment in moments]
    whole = AdwinEvidence().windows(message(failures, trials, 0, 3 * DAY), asked)
    opinion, parts = AdwinEvidence(), list[dict[str, float]]()
    for begin, end in pairwise([0, 11, DAY + 7, DAY + 8, 2 * DAY, 2 * DAY + 390, 2 * DAY + 700, 3 * DAY]):
        mine = [one for one, moment in zip(asked, moments, strict=True) if begin < moment <= end]
        parts += opinion.windows(message(failures, trials, begin, end), mine)
        opinion = AdwinEvidence(pickle.loads(pickle.dumps(opinion.state())))
    assert parts == whole
    assert all(whole)


def test_a_state_of_another_river_is_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match=r"detectors of river 0\.1\.0; .*install river==0\.1\.0"):
        AdwinEvidence({"river": "0.1.0", "windows": b""})
