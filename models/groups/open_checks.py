"""Keeps what rules of contracts found, of minutes that are still open."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.arrays import I32
from models.columns.group_sums import total
from models.messages import Changes
from models.side_messages import NO_CHECKS, CheckedRule, CheckTrials


class OpenChecks:
    """Checks per group, open minute and rule; groups are codes of the group step. Without contracts it is empty."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from a `state()`; one of before there were contracts has none."""
        kept = state or {"rules": (), "parts": ()}
        self._rules = {CheckedRule(*names): code for code, names in enumerate(kept["rules"])}
        self._parts = [CheckTrials(*part) for part in kept["parts"]]

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy. Rules without open minutes are forgotten first."""
        whole = self._joined()
        used, rule = np.unique(whole.rule, return_inverse=True)
        names = list(self._rules)
        self._rules = {names[code]: place for place, code in enumerate(used.tolist())}
        self._parts = [whole._replace(rule=rule.astype(np.int32))] if len(whole.code) else []
        return {"rules": [tuple(names) for names in self._rules], "parts": self._parts}

    def add(self, changes: Changes, code: I32) -> None:
        """Take in the checks of a message, of groups `code`."""
        checks = changes.checks
        own = np.array([self._rules.setdefault(rule, len(self._rules)) for rule in changes.rules], np.int32)
        (rows,) = ((checks.passed != 0) | (checks.failed != 0)).nonzero()
        if len(rows):
            counts = checks.passed[rows], checks.failed[rows]
            self._parts.append(CheckTrials(code[rows], checks.minute[rows], own[checks.rule[rows]], *counts))

    def pop(self, through: int) -> CheckTrials:
        """The rows of minutes before `through`, which are forgotten."""
        if not self._parts:
            return NO_CHECKS
        whole = self._joined()
        closed = whole.minute < through
        kept = CheckTrials(*(column[~closed] for column in whole))
        self._parts = [kept] if len(kept.code) else []
        return CheckTrials(*(column[closed] for column in whole))

    def closed(self, rows: CheckTrials, code: I32) -> tuple[tuple[CheckedRule, ...], CheckTrials]:
        """The rules of `rows`, ascending, and one row per (minute, group, rule); `code`: by code its new one."""
        if not len(rows.code):
            return (), NO_CHECKS
        names = list(self._rules)
        used = sorted(np.unique(rows.rule).tolist(), key=names.__getitem__)
        rank = np.zeros(len(names), np.int32)
        rank[used] = np.arange(len(used), dtype=np.int32)
        group, rule = code[rows.code], rank[rows.rule]
        first, sums = total((rows.minute, group, rule), (rows.passed, rows.failed))
        found = CheckTrials(group[first], rows.minute[first], rule[first], *sums)
        return tuple(names[at] for at in used), found

    def _joined(self) -> CheckTrials:
        if not self._parts:
            return NO_CHECKS
        columns: tuple[I32, ...] = tuple(map(np.concatenate, zip(*self._parts, strict=True)))
        return CheckTrials(*columns)
