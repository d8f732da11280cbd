"""Fixes from when the versions of contracts judge, and sees to it that what has judged calls stays as it is.

`run.json` has, of each version that the run knows, hash, start and end. Where a file names no start, the run fixes it:
the beginning of time in a run that begins, else the first instant after all calls that it has accepted. A version that
comes later must begin after these too, so that no call was accepted without the version that judges it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from aftercall.contracts.contract import Contract, ContractError
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.files import read_folder
from aftercall.times import NEVER, format_time
from flows.dataflow.stored_state import Keeping
from flows.runtime.run_folder import Run
from flows.runtime.state_store import newest_state
from flows.settings import Settings

CONTRACTS: Final = "contracts"
"""Key of `run.json`."""
_SNAPSHOT: Final = "snapshot_out"


class JudgedSoFar(NamedTuple):
    """What a run has done when it starts again.

    Attributes:
        passed: the watermark, or the time of the newest call it has accepted, if that is later, us; NEVER at first.
        calls: how many calls each version has judged, by name and version.
    """

    passed: int
    calls: Mapping[tuple[str, str], int]

    @property
    def earliest(self) -> int:
        """When a version may begin at the earliest, us."""
        return self.passed + 1


NOTHING: Final = JudgedSoFar(NEVER, {})


class KnownVersion(NamedTuple):
    """A version as the run knows it, from when and until when it judges, us; None: since ever, for ever."""

    name: str
    version: str
    hash: str
    effective_from: int | None
    effective_until: int | None


def judged_so_far(state: Path, keeping: Keeping) -> JudgedSoFar:
    """What the stored state of the snapshot says; to be called after `open_store`."""
    stored = newest_state(state, keeping, _SNAPSHOT)
    if stored is None:
        return NOTHING
    uses = {(name, version): calls for name, version, calls, *_ in stored.get("contract_uses", ())}
    return JudgedSoFar(max(stored["watermark"], stored["newest_call"]), uses)


def read_contracts(settings: Settings) -> ContractSet:
    """The contracts of the folder, as their files are; none where there is no folder.

    Raises:
        ContractError: a file is wrong.
    """
    folder = Path(settings.contracts.folder)
    return read_folder(folder) if folder.is_dir() else ContractSet(())


def fixed(contracts: ContractSet, run: Run, so_far: JudgedSoFar) -> list[KnownVersion]:
    """The versions as the run knows them from now on, for `run.json`.

    Raises:
        ContractError: one that has judged calls has changed or is gone, or one would begin too early.
    """
    known = {(one.name, one.version): one for one in known_in(run)}
    versions = [_fixed(contract, known.get((contract.name, contract.version)), so_far) for contract in contracts]
    left = known.keys() - {(one.name, one.version) for one in versions}
    for name, version in sorted(left):
        if calls := so_far.calls.get((name, version)):
            raise ContractError(
                f"contract {name} {version} has judged {calls:,} calls and must stay; its file is gone (put it back; "
                "retire it with `effective_until`)"
            )
    return versions


def starts_of(settings: Settings, run: Run, state: Path, keeping: Keeping) -> Run:
    """What `run.json` is to say of contracts; nothing where there are none. To be called after `open_store`.

    Raises:
        ContractError: a file is wrong, one that has judged calls has changed or is gone, or one would begin too early.
    """
    contracts = read_contracts(settings)
    if not len(contracts) and CONTRACTS not in run:
        return {}
    return {CONTRACTS: [list(one) for one in fixed(contracts, run, judged_so_far(state, keeping))]}


def known_in(run: Run) -> list[KnownVersion]:
    """The versions that a run knows; none where it began without contracts."""
    return [KnownVersion(*row) for row in run.get(CONTRACTS, ())]


def in_force(settings: Settings, run: Run) -> ContractSet:
    """The contracts with the starts that the run has fixed.

    Raises:
        ContractError: a file is wrong, or has changed since the run was started.
    """
    contracts, known = read_contracts(settings), {(one.name, one.version): one for one in known_in(run)}
    for contract in contracts:
        one = known.get((contract.name, contract.version))
        if one is None or one.hash != contract.hash:
            raise ContractError(
                f"{contract.place}: must be as it was when the run was started; it is not (start the run again)"
            )
    return contracts.starting({key: one.effective_from for key, one in known.items() if one.effective_from is not None})


def _fixed(contract: Contract, known: KnownVersion | None, so_far: JudgedSoFar) -> KnownVersion:
    calls = so_far.calls.get((contract.name, contract.version), 0)
    start, until = contract.effective_from_us, contract.effective_until_us
    if known is None or not calls:
        kept = known is not None and known.effective_from == start
        if start is None:
            start = known.effective_from if known is not None else None if so_far == NOTHING else so_far.earliest
        elif not kept and so_far != NOTHING and start < so_far.earliest:
            raise _too_early(contract, "effective_from", start, so_far)
    else:
        if known.hash != contract.hash:
            raise ContractError(
                f"{contract.place}: contract {contract.name} {contract.version} has changed since it judged {calls:,} "
                "calls (give it a new version)"
            )
        if start is not None and start != known.effective_from:
            raise ContractError(
                f"{contract.place}: effective_from must stay {_shown(known.effective_from)}, as {contract.name} "
                f"{contract.version} has judged {calls:,} calls; got {format_time(start)} (put it back, or give it a "
                "new version)"
            )
        start = known.effective_from
        if until != known.effective_until and until is not None and until < so_far.earliest:
            raise _too_early(contract, "effective_until", until, so_far)
    return KnownVersion(contract.name, contract.version, contract.hash, start, until)


def _too_early(contract: Contract, field: str, at: int, so_far: JudgedSoFar) -> ContractError:
    return ContractError(
        f"{contract.place}: {field} must lie after all calls that were accepted; got {format_time(at)} (the earliest "
        f"time allowed now is {format_time(so_far.earliest)})"
    )


def _shown(start: int | None) -> str:
    return "absent" if start is None else format_time(start)
