"""Emits the difference between a ledger as it was stored and as it is: deltas, counts, verdicts and statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from aftercall.times import MINUTE_US, NEVER
from aftercall.vocabulary import CALL, SILENCE
from models.join.call_places import UNKNOWN, CallPlace, Known
from models.join.deltas import Deltas
from models.join.joined import Judgement, StatementRow
from models.join.judging import is_own
from models.join.ledger import UNDECIDED, End, Reading, Verdict
from models.join.open_ledger import OpenLedger
from models.join.shard_state import ShardState

_NOTHING = Reading(UNDECIDED, {}, 0, {})
_NAMES = {None: "pending", True: "success", False: "failure"}


class _Decision(NamedTuple):
    """A verdict as it is emitted. `at` NEVER and `source` None where nothing stands; `closed`: by the closing."""

    verdict: Verdict
    name: str
    at: int
    source: str | None
    ends: dict[int, End]
    closed: bool


class Settlement:
    """The differences of one batch, ledger by ledger."""

    def __init__(self, shard: ShardState, deltas: Deltas, tally: Counter[str]) -> None:
        """Differences go to `deltas`, counts to `tally`."""
        self._shard, self._groups = shard, shard.groups
        self._deltas = deltas
        self._tally = tally
        self.judgements: list[Judgement] = []
        self.statements: list[StatementRow] = []

    def settle(self, ledger: OpenLedger, *, closing: bool) -> None:
        """Emit the difference since the ledger was opened, once; `closing`: its call closes now."""
        grew = ledger.grew
        if not grew and not closing and ledger.stored:
            return
        before = ledger.before() if ledger.stored else _NOTHING
        now = ledger.now() if grew or not ledger.stored else before
        ledger.success = now.verdict.success
        decision = self._decide(ledger, now, closing=closing)
        if grew or decision.closed:
            error = Known(ledger.error, ledger.minute if ledger.error_minute is None else ledger.error_minute)
            self._deltas.add_call_trials(_place(ledger), before.ends, -1, error if ledger.had_error else UNKNOWN)
            self._deltas.add_call_trials(_place(ledger), decision.ends, 1, error)
            self._replace_verdict(ledger, before.verdict, decision)
            is_news = len(ledger.statements) > ledger.size or decision.closed or now.verdict != before.verdict
            if is_news or now.revisions != before.revisions:
                self._emit_verdict(ledger, now, decision, is_news=is_news)
        if len(ledger.statements) > ledger.size:
            self._replace_opinions(ledger, before, now)
            self._replace_opinion_trials(ledger)
            self._add_statements(ledger)
            self._emit_statements(ledger, before.stands, now.stands)

    def _decide(self, ledger: OpenLedger, now: Reading, *, closing: bool) -> _Decision:
        """The verdict of a ledger; where its call closes undecided `expired`, or that of silence if nothing stands."""
        verdict = now.verdict
        if not closing or verdict.success is not None:
            at, source = _decided(verdict, ledger.at)
            return _Decision(verdict, _NAMES[verdict.success], at, source, now.ends, closed=False)
        silence = None if now.stands else ledger.rules.silence(ledger.task)
        if silence is None:
            self._deltas.add_expired_call(ledger.group, ledger.at)
            self._tally["expired"] += 1
            return _Decision(verdict, "expired", NEVER, None, now.ends, closed=True)
        ends = now.ends | {ledger.closes // MINUTE_US: (silence, SILENCE)}
        return _Decision(Verdict(silence, None), _NAMES[silence], ledger.horizon_ends, SILENCE, ends, closed=True)

    def _replace_verdict(self, ledger: OpenLedger, old: Verdict, new: _Decision) -> None:
        """Cells and delays: take the old verdict off, add the new one."""
        old_at, _ = _decided(old, ledger.at)
        learned = _is_learned(old), _is_learned(new.verdict)
        if (old.success, old_at, learned[0]) == (new.verdict.success, new.at, learned[1]):
            return
        for success, at, sign, delay in (
            (old.success, old_at, -1, learned[0]),
            (new.verdict.success, new.at, 1, learned[1]),
        ):
            if success is not None:
                self._deltas.add_verdict(ledger.group, ledger.at, success, at, sign, delay=delay)
                self._tally["successes" if success else "failures"] += sign

    def _replace_opinions(self, ledger: OpenLedger, before: Reading, now: Reading) -> None:
        """Take the opinions of sources off that are no more, and add the new ones."""
        for opinions, others, sign in ((before.opinions, now.opinions, -1), (now.opinions, before.opinions, 1)):
            for source, (success, at) in opinions.items():
                if others.get(source) != (success, at):
                    self._deltas.add_opinion(ledger.group, ledger.at, source, success, at, sign)

    def _replace_opinion_trials(self, ledger: OpenLedger) -> None:
        """Take the trials of watched sources off as they were, and add them as they are."""
        codes = self._shard.watched_codes() if self._shard.watched else {}
        if codes:
            for size, sign in ((ledger.size, -1), (len(ledger.statements), 1)):
                statements, rules = ledger.statements[:size], ledger.rules.verdict
                self._deltas.opinion_trials.add_ledger(_place(ledger), statements, rules, codes, sign)

    def _emit_verdict(self, ledger: OpenLedger, now: Reading, decision: _Decision, *, is_news: bool) -> None:
        statement = decision.verdict.statement
        implicit = ledger.error if decision.source == CALL else None
        self.judgements.append(
            Judgement(
                call_id=ledger.call_id,
                group=self._groups[ledger.group],
                call_at=ledger.at,
                verdict=decision.name,
                score=decision.verdict.score,
                source=decision.source,
                outcome_id=None if statement is None else statement.outcome_id,
                reason=implicit if statement is None else statement.reason,
                decided_at=decision.at,
                seq=len(ledger.statements) + decision.closed,
                statements=len(ledger.statements),
                revisions=now.revisions,
                is_news=is_news,
            )
        )

    def _add_statements(self, ledger: OpenLedger) -> None:
        """Count the assertions that are new."""
        success = ledger.rules.verdict.success
        for s in ledger.statements[ledger.size :]:
            # Its own ones are none that a source has sent: no source falls silent, or grows, with them.
            if not s.retract and not is_own(s.outcome_id):
                asserted = success(s.source, s.given, s.score)
                minute = max(ledger.minute, s.minute)
                score = ledger.rules.verdict.scaled(s.source, s.score)
                self._deltas.add_statement(_place(ledger), minute, s.source, asserted, score)

    def _emit_statements(self, ledger: OpenLedger, stood: Mapping[str, int], stands: Mapping[str, int]) -> None:
        """Emit the statements that are new, and those that began or ceased to stand."""
        success = ledger.rules.verdict.success
        for place, s in enumerate(ledger.statements):
            stands_now = stands.get(s.outcome_id) == s.edition
            if place >= ledger.size or stands_now != (stood.get(s.outcome_id) == s.edition):
                asserted = None if s.retract else success(s.source, s.given, s.score)
                self.statements.append(
                    StatementRow(
                        ledger.call_id,
                        ledger.at,
                        s.outcome_id,
                        s.edition,
                        s.source,
                        s.author,
                        s.at,
                        s.retract,
                        asserted,
                        s.score,
                        s.reason,
                        s.scorer,
                        stands_now,
                    )
                )


def _place(ledger: OpenLedger) -> CallPlace:
    return CallPlace(ledger.group, ledger.at, ledger.minute, ledger.unit, ledger.facets)


def _is_learned(verdict: Verdict) -> bool:
    """Whether its delay is one of those by which others are expected: a violation is found as the call comes."""
    return verdict.statement is None or not is_own(verdict.statement.outcome_id)


def _decided(verdict: Verdict, call_at: int) -> tuple[int, str | None]:
    """When and by which source; the call's own error decides at the call's time."""
    if verdict.success is None:
        return NEVER, None
    if verdict.statement is None:
        return call_at, CALL
    return verdict.decided_at, verdict.statement.source
