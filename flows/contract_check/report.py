"""Makes the report of `aftercall contract check`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aftercall.contracts.contract import Contract
from aftercall.contracts.contract_set import ContractSet
from flows.contract_check.findings import Findings, RuleFindings
from flows.contract_check.past_calls import PastCalls
from flows.contract_check.verdicts import KnownVerdict, Shift, shift, verdicts_of
from flows.contract_check.worth import worth
from flows.settings import Settings
from flows.settings.for_models import session_rules
from models.sessions import times_of
from models.stats.intervals import wilson

_FEW_ANSWERED: Final = 2.0
"""So many times more than the share of violations a rate may fall before the reason is that few calls are answered."""
_LEAST_DROP: Final = 0.005
_STATING: Final = {"critical": {"critical"}, "major": {"critical", "major"}, "never": set[str]()}
"""By `[contracts] verdict`: the severities of which a violation is a failure of its call."""


def check(
    contracts: ContractSet, calls: Sequence[Path], outcomes: Sequence[Path], settings: Settings
) -> dict[str, Any]:
    """What contracts find about past calls; the fields are those of `--json`, see docs/reference.md, section 5.

    Raises:
        UserError: a file cannot be read, or a function of a `python` rule cannot be imported.
    """
    with tempfile.TemporaryDirectory(prefix="aftercall-") as name:
        folder = Path(name)
        times = times_of(session_rules(settings))
        past, findings = PastCalls(calls, folder, settings), Findings(contracts, times)
        for call in past:
            findings.add(call)
        findings.finish()
        known = verdicts_of(calls, outcomes, folder, settings) if outcomes else None
    groups = [] if known is None else _groups(findings, known, settings)
    return {
        "calls": sum(map(len, findings.calls_by_group.values())),
        "completed": past.completed,
        "refused": dict(past.refused),
        "judged": sum(findings.judged.values()),
        "contracts": [_contract(one, findings, known) for one in contracts],
        "groups": groups,
        "warnings": _unmatched(contracts, findings),
    }


def _contract(contract: Contract, findings: Findings, known: dict[str, KnownVerdict] | None) -> dict[str, Any]:
    return {
        "contract": contract.name,
        "version": contract.version,
        "hash": contract.hash,
        "file": contract.place,
        "judged": findings.judged[contract],
        "rules": [_rule(one, known) for one in findings if one.contract is contract],
    }


def _rule(findings: RuleFindings, known: dict[str, KnownVerdict] | None) -> dict[str, Any]:
    failed, passed = findings.results["fail"], findings.results["pass"]
    low, high = wilson(failed, failed + passed)
    checked = failed + passed
    found = None if known is None else worth(findings.failed, findings.passed, known)
    return {
        "rule": findings.rule.id,
        "type": findings.rule.type,
        "severity": findings.rule.severity,
        "checked": checked,
        "failed": failed,
        "share": failed / checked if checked else None,
        "share_low": float(low) if checked else None,
        "share_high": float(high) if checked else None,
        "not_applicable": dict(findings.reasons.get("not_applicable", {})),
        "errors": dict(findings.reasons.get("error", {})),
        "places": [place._asdict() for place in findings.places],
        "worth": None if found is None else {**found._asdict(), "words": found.words},
    }


def _groups(findings: Findings, known: dict[str, KnownVerdict], settings: Settings) -> list[dict[str, Any]]:
    stating, precedence = _STATING[settings.contracts.verdict], settings.verdict.precedence
    # Rules over sessions make no statement.
    rules = [one for one in findings if one.rule.severity in stating and one.rule.room != "session"]
    violating = {call for one in rules for call in one.failed}
    shifts = [
        shift(group, calls, violating, known, precedence) for group, calls in sorted(findings.calls_by_group.items())
    ]
    return [_group(one) for one in shifts if one.violations]


def _group(found: Shift) -> dict[str, Any]:
    before, after = _rate(found.before), _rate(found.after)
    names = dict(zip(("task_type", "model", "config"), found.group, strict=True))
    figures = {"calls": found.calls, "violations": found.violations, "answered": found.answered}
    return {**names, **figures, "before": before, "after": after, "words": _words(found, before, after)}


def _words(found: Shift, before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return f"no call has a verdict; {found.violations:,} violations would be the only ones"
    if found.before == found.after:
        return f"{100 * before:.1f} % stays: what else is known of these calls decides"
    text = f"{100 * before:.1f} % would read {100 * after:.1f} %"
    expected = _FEW_ANSWERED * found.violations / found.calls
    few = before - after > max(expected, _LEAST_DROP) and found.answered < found.calls
    return f'{text}: few calls are answered; consider verdict = "never"' if few else text


def _rate(counts: tuple[int, int]) -> float | None:
    return counts[0] / counts[1] if counts[1] else None


def _unmatched(contracts: ContractSet, findings: Findings) -> list[str]:
    """Versions that have judged no call, and which task types there were."""
    tasks = sorted({task for task, _, _ in findings.calls_by_group})
    seen = ", ".join(tasks[:5]) + (f" and {len(tasks) - 5} more" if len(tasks) > 5 else "")
    return [
        f"{one.place}: {one.label} has judged no call; the task types of the files are {seen or 'none'}"
        " (compare its tasks, models, configs and effective_from)"
        for one in contracts
        if not findings.judged[one]
    ]
