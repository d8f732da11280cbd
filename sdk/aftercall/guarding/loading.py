"""Reads contracts for a guard, and tries all that judging needs, so that what is missing is said at its start."""

from __future__ import annotations

from pathlib import Path

from aftercall.contracts.code import function_of
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge
from aftercall.contracts.files import read_contracts
from aftercall.guarding.worker import Functions


def loaded(paths: list[Path]) -> tuple[ContractSet, Functions]:
    """The contracts of these files and folders, and the functions of their rules.

    Raises:
        ContractError: one is wrong, or a function cannot be imported.
        UsageError: a package is missing.
    """
    found = read_contracts(paths)
    functions: Functions = {}
    for contract in found:
        for rule in contract.rules:
            if rule.room == "code":
                path = rule.params.function  # type: ignore[attr-defined]  # of the kind `python`
                functions[contract.hash, rule.id] = function_of(path, f"{contract.place}, rule {rule.id!r}")
        judge(contract, {"input": "x", "output": "x"})  # loads what rules on texts need, and compiles them
    return found, functions


def only_task(contracts: ContractSet) -> str | None:
    """The task type that all contracts are for, where that is one name and no glob."""
    globs = {glob for contract in contracts for glob in contract.tasks}
    task = globs.pop() if len(globs) == 1 else "*"
    return None if any(sign in task for sign in "*?[") else task
