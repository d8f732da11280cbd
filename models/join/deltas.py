"""Collects the differences that one batch makes in one shard and sums them per group and minute.

All sums are of integers, so they do not depend on order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from aftercall.times import HOUR_US, MINUTE_US, MINUTES_PER_HOUR, QUARTER_US, QUARTERS_PER_HOUR
from aftercall.vocabulary import CALL
from models.arrays import F64, I8, I16, I32, I64, U64
from models.columns.group_sums import total
from models.join.call_places import UNKNOWN, CallPlace, CallPlaces, Known
from models.join.delta_tables import attempt_table, check_table, counted_calls, delay_table, latency_table
from models.join.facets import FacetRows
from models.join.failed_trials import FailedTrials
from models.join.late_calls import coded, coded_one, uncoded
from models.join.ledger import End
from models.join.opinion_trials import OpinionTrialRows
from models.join.parts import columns_of, none_if_empty, renumbered, summed
from models.join.units import UnitRows
from models.messages import (
    LEVELS,
    NO_OPINIONS,
    NO_RESPONSES,
    NO_SCORES,
    NO_VALUES,
    CallHours,
    CellDeltas,
    Changes,
    Group,
    OpinionDeltas,
    Responses,
    Scores,
    TrialDeltas,
    Values,
)
from models.side_messages import NO_CHECK_DELTAS, CheckDeltas, CheckedRule, CountedCalls
from models.stats import delay_distribution as delay
from models.stats import minute_delays as trial_delay

_CELL = {"calls": np.int32, "successes": np.int32, "failures": np.int32, "expired": np.int32, "cost_nano": np.int64}
_TRIAL = {
    "trial_successes": np.int32,
    "trial_failures": np.int32,
    "successes": np.int32,
    "failures": np.int32,
    "calls": np.int32,
}

_FARTHEST_LEVEL = 2**31 - 1


class Deltas:
    """Differences of one batch. Groups and sources are the shard's own codes; `changes` translates them to names."""

    def __init__(self, source_code: Callable[[str], int]) -> None:
        """`source_code` gives the shard's code of a source, a new one where it has none."""
        self._source_code = source_code
        self._cells: list[dict[str, Any]] = []
        self._trials: list[dict[str, Any]] = []
        self._latency: list[tuple[I32, I32, F64]] = []
        self._delays: list[tuple[I32, I32, I8, I16, I32]] = []
        self._opinions: list[tuple[I32, I32, I32, I8, I16, I8]] = []
        self._values: list[Values] = []
        self._responses: list[tuple[I32, I32, I32, I32, I8, I32, I32, I32]] = []
        self._scores: list[tuple[I32, I32, I32, I32, F64]] = []
        # Those of single calls, a row each.
        self._verdict_rows: list[tuple[int, int, bool, int, int]] = []
        self._instant_rows: list[tuple[int, int, bool, int, int]] = []
        """As those, of verdicts whose delay is not learned."""
        self._opinion_rows: list[tuple[int, int, bool, int, int, int]] = []
        self._expired_rows: list[tuple[int, int]] = []
        self._trial_rows: list[tuple[int, int, int, int, int, int, int]] = []
        self._response_rows: list[tuple[int, int, int, int, int, int, int, int]] = []
        self._score_rows: list[tuple[int, int, int, int, float]] = []
        self._attempts: list[tuple[I32, I32, I32]] = []
        self._failed, self._units, self._facets = FailedTrials(), UnitRows(), FacetRows()
        self._checks = NO_CHECK_DELTAS
        self._rules: Sequence[CheckedRule] = ()
        self.opinion_trials = OpinionTrialRows()

    def add_calls(self, calls: CallPlaces, minute: I32, latency_ms: F64, cost_nano: I64, tokens: I64, key: U64) -> None:
        """Calls accepted, or failed attempts of calls, which take effect in `minute`: counts, cost, latency, values."""
        group, at, code = calls.group, calls.at, coded(calls)
        call_minute = (at // MINUTE_US).astype(np.int32)
        ones = np.ones(len(group), np.int32)
        cost = np.maximum(cost_nano, 0)
        self._cells.append({"group": group, "minute": call_minute, "calls": ones, "cost_nano": cost})
        self._trials.append({"group": code, "minute": minute, "quarter": _quarter(at), "calls": ones})
        known = ~np.isnan(latency_ms)
        self._latency.append((group[known], call_minute[known], latency_ms[known]))
        cost_usd = np.where(cost_nano >= 0, cost_nano / 1e9, np.nan)
        self._values.append(Values(code, minute, at, key, latency_ms, cost_usd, tokens))

    def add_filled(self, call: CallPlaces, minute: I32, latency_ms: F64, cost_nano: I64, tokens: I64, key: U64) -> None:
        """Values that calls did not have before, nan or -1 where one has none; they take effect in `minute`."""
        group, at = call.group, call.at
        call_minute, known = (at // MINUTE_US).astype(np.int32), ~np.isnan(latency_ms)
        self._cells.append({"group": group, "minute": call_minute, "cost_nano": np.maximum(cost_nano, 0)})
        self._latency.append((group[known], call_minute[known], latency_ms[known]))
        cost_usd = np.where(cost_nano >= 0, cost_nano / 1e9, np.nan)
        some = known | (cost_nano >= 0) | (tokens >= 0)
        values: tuple[Any, ...] = (coded(call), minute, at, key, latency_ms, cost_usd, tokens)
        self._values.append(Values(*(column[some] for column in values)))

    def add_attempts(self, calls: CallPlaces, minute: I32, errors: Sequence[str]) -> None:
        """Failed attempts, which `add_calls` has counted as calls: `minute` decides them, by their own error."""
        group, at = calls.group, calls.at
        failure = np.zeros(len(group), np.int8)
        self.add_verdicts(group, at, failure, at)
        source = np.full(len(group), self._source_code(CALL), np.int32)
        self.add_first_trials(calls, minute, failure, source, by_statement=False)
        codes = coded(calls)
        for code, effective, hour, error in zip(
            codes.tolist(), minute.tolist(), _hour(at).tolist(), errors, strict=True
        ):
            self._failed.add(code, effective, hour, error, 1)
        self._attempts.append((codes, minute, _hour(at)))

    def add_verdicts(
        self,
        group: I32,
        call_at: I64,
        success: I8,
        decided_at: I64,
        sign: I32 | None = None,
        source: I32 | None = None,
    ) -> None:
        """Verdicts gained (`sign` 1, the default) or withdrawn (-1): cells and delay histogram.

        With `source` they are the opinions of these sources too, as of calls with one statement.
        """
        if sign is None:
            sign = np.ones(len(group), np.int32)
        minute = self._add_decided(group, call_at, success, sign)
        bucket = _bucket(call_at, decided_at)
        self._delays.append((group, minute // MINUTES_PER_HOUR, success, bucket, sign))
        if source is not None:
            self._opinions.append((group, source, minute, success, bucket, sign.astype(np.int8)))

    def _add_decided(self, group: I32, call_at: I64, success: I8, sign: I32) -> I32:
        """The cells of verdicts; the minutes of their calls."""
        good, minute = (success == 1).astype(np.int32), (call_at // MINUTE_US).astype(np.int32)
        self._cells.append({"group": group, "minute": minute, "successes": sign * good, "failures": sign * (1 - good)})
        return minute

    def add_opinions(self, group: I32, source: I32, call_at: I64, success: I8, decided_at: I64, sign: I8) -> None:
        """Opinions of sources gained or withdrawn, whatever the verdicts are."""
        minute = (call_at // MINUTE_US).astype(np.int32)
        self._opinions.append((group, source, minute, success, _bucket(call_at, decided_at), sign))

    def add_opinion(self, group: int, call_at: int, source: str, success: bool, decided_at: int, sign: int) -> None:  # noqa: FBT001
        """One opinion gained (`sign` 1) or withdrawn (-1)."""
        self._opinion_rows.append((group, call_at, success, decided_at, sign, self._source_code(source)))

    def add_verdict(
        self,
        group: int,
        call_at: int,
        success: bool,  # noqa: FBT001
        decided_at: int,
        sign: int,
        *,
        delay: bool = True,
    ) -> None:
        """One verdict gained (`sign` 1) or withdrawn (-1); `delay`: whether its delay counts."""
        (self._verdict_rows if delay else self._instant_rows).append((group, call_at, success, decided_at, sign))

    def add_checks(self, checks: CheckDeltas, rules: Sequence[CheckedRule]) -> None:
        """Results of rules, which index `rules`. To be called once."""
        self._checks, self._rules = checks, rules

    def add_expired_call(self, group: int, call_at: int) -> None:
        """One call closed with nothing standing."""
        self._expired_rows.append((group, call_at))

    def add_call_trials(self, call: CallPlace, ends: dict[int, End], sign: int, known: Known = UNKNOWN) -> None:
        """The trials of one call, from its verdicts at the ends of minutes: gained or withdrawn. `known`: its error."""
        group, hour, before = coded_one(call), call.at // HOUR_US, None
        for minute in sorted(ends) if len(ends) > 1 else ends:
            now, source = ends[minute]
            if now is not before:
                good, bad = now is True, now is False
                net = (good - (before is True), bad - (before is False))
                net = (sign * net[0], sign * net[1])
                self._trial_rows.append((group, minute, call.at // QUARTER_US, sign * good, sign * bad, *net))
                if bad and known.error is not None and minute >= known.minute:
                    self._failed.add(group, minute, hour, known.error, sign)
                if now is not None:
                    by = self._source_code(source or "")
                    self._response_rows.append((group, minute, hour, by, now, minute - call.minute, 0, sign))
                    for rows, value in ((self._units, call.unit), (self._facets, call.facets)):
                        if value:
                            rows.add_one(value, group, minute, hour, now, sign)
            before = now

    def add_statement(
        self,
        call: CallPlace,
        minute: int,
        source: str | None,
        success: bool | None,  # noqa: FBT001
        score: float | None,
    ) -> None:
        """One assertion that entered a ledger and takes effect in `minute`; `success` None: it abstains."""
        by, group = self._source_code(source or ""), coded_one(call)
        hour, said = call.at // HOUR_US, -1 if success is None else int(success)
        self._response_rows.append((group, minute, hour, by, said, minute - call.minute, 1, 0))
        if score is not None:
            self._score_rows.append((group, minute, hour, by, score))

    def add_expired_calls(self, group: I32, call_at: I64) -> None:
        """Calls that closed with nothing standing."""
        minute = (call_at // MINUTE_US).astype(np.int32)
        self._cells.append({"group": group, "minute": minute, "expired": np.ones(len(group), np.int32)})

    def add_first_trials(
        self, calls: CallPlaces, minute: I32, success: I8, source: I32, *, by_statement: bool = True
    ) -> None:
        """First verdicts of calls: a trial each, and a net gain. `by_statement` is False for verdicts by silence."""
        group, hour = coded(calls), _hour(calls.at)
        good = (success == 1).astype(np.int32)
        bad = 1 - good
        self._trials.append(
            {
                "group": group,
                "minute": minute,
                "quarter": _quarter(calls.at),
                "trial_successes": good,
                "trial_failures": bad,
                "successes": good,
                "failures": bad,
            }
        )
        ones = np.ones(len(group), np.int32)
        self._responses.append(
            (group, minute, hour, source, success, minute - calls.minute, ones if by_statement else 0 * ones, ones)
        )
        self._units.add(calls.unit, group, minute, hour, success, ones)
        self._facets.add(calls.facets, group, minute, hour, success, ones)

    def add_trials(self, calls: CallPlaces, minute: I32, success: I8, before: I8, source: I32, sign: I32) -> None:
        """Verdicts at ends of minutes that differ from `before`, that of the end before, -1 for none; see `sign` above.

        Each is a trial, by `source`.
        """
        group, hour = coded(calls), _hour(calls.at)
        good, bad = (success == 1).astype(np.int32), (success == 0).astype(np.int32)
        self._trials.append(
            {
                "group": group,
                "minute": minute,
                "quarter": _quarter(calls.at),
                "trial_successes": sign * good,
                "trial_failures": sign * bad,
                "successes": sign * (good - (before == 1)),
                "failures": sign * (bad - (before == 0)),
            }
        )
        by = (success >= 0).nonzero()
        late, none = minute[by] - calls.minute[by], 0 * sign[by]
        self._responses.append((group[by], minute[by], hour[by], source[by], success[by], late, none, sign[by]))
        self._units.add(calls.unit, group, minute, hour, success, sign)
        self._facets.add(calls.facets, group, minute, hour, success, sign)

    def add_statements(self, calls: CallPlaces, minute: I32, source: I32, success: I8, score: F64) -> None:
        """Assertions that entered ledgers and take effect in `minute`; `score` as for `add_scores`."""
        group = coded(calls)
        ones = np.ones(len(group), np.int32)
        late = minute - calls.minute
        self._responses.append((group, minute, _hour(calls.at), source, success, late, ones, 0 * ones))
        self.add_scores(calls, minute, source, score)

    def add_scores(self, calls: CallPlaces, minute: I32, source: I32, score: F64) -> None:
        """Scores of assertions, nan where there is none. Those of `add_statement` are counted there."""
        (given,) = (~np.isnan(score)).nonzero()
        if len(given):
            group, hour = coded(calls)[given], _hour(calls.at[given])
            self._scores.append((group, minute[given], hour, source[given], score[given]))

    def _gather_rows(self) -> None:
        """Add the differences of single calls as columns."""
        if self._verdict_rows:
            rows = np.array(self._verdict_rows, np.int64).T
            success, sign = rows[2].astype(np.int8), rows[4].astype(np.int32)
            self.add_verdicts(rows[0].astype(np.int32), rows[1], success, rows[3], sign)
        if self._instant_rows:
            group, at, success, _, sign = np.array(self._instant_rows, np.int64).T
            self._add_decided(group.astype(np.int32), at, success.astype(np.int8), sign.astype(np.int32))
        if self._opinion_rows:
            rows = np.array(self._opinion_rows, np.int64).T
            success, sign, source = rows[2].astype(np.int8), rows[4].astype(np.int8), rows[5].astype(np.int32)
            self.add_opinions(rows[0].astype(np.int32), source, rows[1], success, rows[3], sign)
        if self._expired_rows:
            rows = np.array(self._expired_rows, np.int64).T
            self.add_expired_calls(rows[0].astype(np.int32), rows[1])
        if self._response_rows:
            columns = np.array(self._response_rows, np.int32).T
            self._responses.append((*columns[:4], columns[4].astype(np.int8), *columns[5:]))
        if self._score_rows:
            group, minute, hour, source = np.array([row[:4] for row in self._score_rows], np.int32).T
            scores = np.array([score for *_, score in self._score_rows], np.float64)
            self._scores.append((group, minute, hour, source, scores))

    @cached_property
    def _trial_sums(self) -> dict[str, Any]:
        if self._trial_rows:
            columns = np.array(self._trial_rows, np.int32).T
            self._trials.append(dict(zip(("group", "minute", "quarter", *tuple(_TRIAL)[:4]), columns, strict=True)))
        return summed(self._trials, ("group", "minute", "quarter"), _TRIAL)

    def counted_calls(self) -> CountedCalls | None:
        """The accepted calls by group, minute and hour, once all trials are added; None where these do not say it."""
        return None if self._attempts else counted_calls(self._trial_sums)

    def changes(
        self, shard: str, watermark: int, groups: list[Group], sources: list[str], segments: list[str]
    ) -> Changes:
        """The message to the group step, without rows whose differences cancel out. To be called once."""
        self._gather_rows()
        cells = summed(self._cells, ("group", "minute"), _CELL)
        trials = dict(self._trial_sums)
        latencies, delays = latency_table(self._latency), delay_table(self._delays)
        values = Values(*columns_of(self._values)) if self._values else NO_VALUES
        opinions = OpinionDeltas(*columns_of(self._opinions)) if self._opinions else NO_OPINIONS
        (response_hour, responses), (score_hour, scores) = self._response_table(), self._score_table()
        (errors, failed_hour, failed), (unit_hour, units) = self._failed.table(), self._units.table()
        (facet_hour, facets), (said_hour, said) = self._facets.table(), self.opinion_trials.table()
        quarters = trials.pop("quarter")
        of_rows = (response_hour, score_hour, failed_hour, unit_hour, facet_hour, said_hour, quarters)
        hours = CallHours(quarters // QUARTERS_PER_HOUR, *of_rows)
        attempts, checks = attempt_table(self._attempts), self._checks
        tables = (latencies, delays, values, responses, scores, failed, opinions, attempts, units, facets, checks, said)
        parts = [cells.pop("group"), trials.pop("group"), *(table.code for table in tables)]
        places, late, parts = uncoded(len(groups), parts)
        chosen, code = renumbered(len(places), parts)
        of = [code[part] for part in parts]
        used_sources, by = renumbered(len(sources), [responses.source, scores.source, opinions.source, said.source])
        return Changes(
            shard=shard,
            watermark=watermark,
            names=[groups[i] for i in places[chosen].tolist()],
            late=tuple(late[i] for i in chosen.tolist()) if late else (),
            segments=none_if_empty(segments[i] for i in places[chosen].tolist()),
            cells=CellDeltas(of[0], **cells),
            trials=TrialDeltas(of[1], **trials),
            latencies=latencies._replace(code=of[2]),
            delays=delays._replace(code=of[3]),
            values=values._replace(code=of[4]),
            sources=tuple(sources[i] for i in used_sources.tolist()),
            responses=responses._replace(code=of[5], source=by[responses.source]),
            scores=scores._replace(code=of[6], source=by[scores.source]),
            errors=errors,
            failed=failed._replace(code=of[7]),
            hours=hours,
            opinions=opinions._replace(code=of[8], source=by[opinions.source]),
            attempts=attempts._replace(code=of[9]),
            units=units._replace(code=of[10]),
            facets=facets._replace(code=of[11]),
            **check_table(self._checks._replace(code=of[12]), self._rules),
            opinion_trials=said._replace(code=of[13], source=by[said.source]),
        )

    def _response_table(self) -> tuple[I32, Responses]:
        if not self._responses:
            return NO_RESPONSES.minute, NO_RESPONSES
        group, minute, hour, source, success, late, statements, trials = columns_of(self._responses)
        bucket = trial_delay.bucket_of(late)
        first, sums = total((group, minute, hour, source, success, bucket), (statements, trials))
        by: tuple[Any, ...] = (group, minute, source, success, bucket)
        return hour[first], Responses(*(column[first] for column in by), *sums)

    def _score_table(self) -> tuple[I32, Scores]:
        if not self._scores:
            return NO_SCORES.minute, NO_SCORES
        group, minute, hour, source, score = columns_of(self._scores)
        level = np.clip(np.rint(score * LEVELS), -_FARTHEST_LEVEL, _FARTHEST_LEVEL).astype(np.int32)
        first, (count,) = total((group, minute, hour, source, level), (np.ones(len(group), np.int32),))
        return hour[first], Scores(group[first], minute[first], source[first], level[first], count)


def _bucket(call_at: I64, decided_at: I64) -> I16:
    """Of the delays of verdicts."""
    return delay.delay_bucket(np.maximum(decided_at - call_at, 0))


def _quarter(at: I64) -> I32:
    return (at // QUARTER_US).astype(np.int32)


def _hour(at: I64) -> I32:
    return (at // HOUR_US).astype(np.int32)
