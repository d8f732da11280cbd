"""Builds what judges calls by contracts in the join, and says which of their rules raise alerts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.params.base import RuleSeverity
from aftercall.contracts.session_calls import rules_over_sessions
from aftercall.records import Severity
from aftercall.vocabulary import CONTRACT
from flows.settings import Settings
from flows.settings.for_models import session_rules
from models.alarms.rule_alerts import RuleAlert, RuleAlerts
from models.contracts import ContractJudge, SessionRulebook
from models.sessions import times_of

_SEVERITIES: Final[dict[RuleSeverity, Severity]] = {
    "critical": "critical",
    "major": "warning",
    "minor": "info",
    "info": "info",
}
"""Of alerts, by the severity of the rule."""


def rule_alerts(contracts: ContractSet) -> RuleAlerts:
    """The rules that raise alerts, of all versions."""
    return {
        (contract.name, contract.version, rule.id): RuleAlert(rule.alert, _SEVERITIES[rule.severity])
        for contract in contracts
        for rule in contract.rules
        if rule.alert != "never"
    }


def judge_of(settings: Settings, contracts: ContractSet) -> Callable[[], ContractJudge] | None:
    """Makes what judges calls by these contracts, with the starts that the run has fixed; None where there are none.

    Each shard needs one of its own: it remembers what it has judged, and shards are on several threads.
    """
    if not len(contracts):
        return None
    kept = settings.snapshot.checks
    if kept == "none" and settings.contracts.publish:
        kept = "failed"  # the snapshot keeps none of them
    return partial(ContractJudge, contracts, msgspec.to_builtins, settings.contracts.verdict, kept)


def session_book_of(settings: Settings, contracts: ContractSet) -> Callable[[], SessionRulebook] | None:
    """Makes what judges sessions by these contracts; None where none has rules over them. A shard needs its own."""
    if not any(map(rules_over_sessions, contracts)):
        return None
    times = times_of(session_rules(settings))
    return partial(SessionRulebook, contracts, times, settings.snapshot.checks)


def unlearned_source(settings: Settings, *, judged: bool) -> str | None:
    """The source whose delays are not learned, as the pipeline's own statements are of it; None without such."""
    return CONTRACT if judged and settings.contracts.verdict != "never" else None
