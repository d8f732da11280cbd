"""Which rules of contracts raise alerts, and how: of each violation, or of a changed rate of violations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import numpy as np

from aftercall.records import Severity
from models.arrays import I64
from models.side_messages import CheckedRule, CheckTrials

Mode = Literal["each", "rate"]


class RuleAlert(NamedTuple):
    """How a rule of a contract's version raises alerts, and of which severity."""

    mode: Mode
    severity: Severity


RuleAlerts = Mapping[tuple[str, str, str], RuleAlert]
"""By contract, version and rule; a rule that is not among them raises none."""
NO_RULE_ALERTS: Final[RuleAlerts] = MappingProxyType({})


class RuleRows(NamedTuple):
    """Checks by one rule, whatever the version, by minute; columns of shape (rows,).

    Attributes:
        minute: in which they took effect.
        code: of the group in the message's names.
        failed: violations.
        checked: all that were checked.
    """

    minute: I64
    code: I64
    failed: I64
    checked: I64


def metric_of(contract: str, rule: str) -> str:
    """The metric of alerts on a rule; names of contracts have no colon, ids of rules no dot.

    >>> metric_of("refund", "asks-first")
    'refund.asks-first'
    """
    return f"{contract}.{rule}"


def rows_by_rule(
    alerts: RuleAlerts, mode: Mode, rules: Sequence[CheckedRule], checks: CheckTrials
) -> dict[str, RuleRows]:
    """The checks of a message by those rules that raise alerts in one way, by metric in order; only those with any.

    Checks of two versions within a minute and group are rows of their own.
    """
    metrics = [
        metric_of(rule.contract, rule.rule)
        if (alert := alerts.get(rule[:3])) is not None and alert.mode == mode
        else ""
        for rule in rules
    ]
    found = {}
    for metric in sorted({*metrics} - {""}):
        mine = np.array([name == metric for name in metrics], np.bool_)
        rows = mine[checks.rule].nonzero()[0]
        if len(rows):
            minute, code, passed, failed = (
                column[rows].astype(np.int64) for column in (checks.minute, checks.code, checks.passed, checks.failed)
            )
            found[metric] = RuleRows(minute, code, failed, passed + failed)
    return found


def severities(alerts: RuleAlerts) -> dict[str, Severity]:
    """The severity of alerts by metric: the gravest of all versions."""
    found: dict[str, Severity] = {}
    for (contract, _, rule), alert in sorted(alerts.items()):
        metric = metric_of(contract, rule)
        found[metric] = max(found.get(metric, "info"), alert.severity, key=_ORDER.index)
    return found


_ORDER: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
