"""Holds all versions of all contracts, and finds those that judge a call."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple, Self

from aftercall.contracts.contract import MAX_RULES, Contract, ContractError
from aftercall.contracts.globs import intersect
from aftercall.times import format_time

MAX_GROUPS: Final = 65_536
"""So many groups keep their answer; names beyond are looked up again."""


class _Timeline(NamedTuple):
    """The versions of one contract by their start; None where the globs of a version do not take the group."""

    starts: tuple[int, ...]
    versions: tuple[Contract | None, ...]

    def at(self, at_us: int) -> Contract | None:
        place = bisect_right(self.starts, at_us) - 1
        found = self.versions[place] if place >= 0 else None
        return found if found is not None and at_us < found.until_us else None


class ContractSet:
    """All versions of the contracts of a folder, side by side."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        """Take versions in any order.

        Raises:
            ContractError: two versions are one, overlap, or more than 64 rules could judge one call.
        """
        self.contracts: Final = tuple(sorted(contracts, key=lambda one: (one.name, one.from_us, one.version)))
        self._names: dict[str, list[Contract]] = {}
        for contract in self.contracts:
            self._names.setdefault(contract.name, []).append(contract)
        for versions in self._names.values():
            _refuse_overlaps(versions)
        _refuse_too_many_rules(self.contracts)
        self._groups: dict[tuple[str, str, str], tuple[_Timeline, ...]] = {}

    def judging(self, task_type: str, model: str, config: str, at_us: int) -> tuple[Contract, ...]:
        """The contracts that judge a call, by name: of each the version with the newest start at or before `at_us`.

        Args:
            task_type: plain name of the call's group, as its model and config.
            model: of the call.
            config: of the call.
            at_us: the call's `occurred_at`, in microseconds since 1970 UTC.
        """
        timelines = self._of_group(task_type, model, config)
        found = (timeline.at(at_us) for timeline in timelines)
        return tuple(contract for contract in found if contract is not None)

    def starting(self, starts: Mapping[tuple[str, str], int]) -> Self:
        """The same contracts with starts that a service has fixed, by (name, version), in microseconds."""
        known = ((one, starts.get((one.name, one.version))) for one in self.contracts)
        return type(self)(one if start is None else one.starting(start) for one, start in known)

    def by_hash(self, given: str) -> Contract | None:
        """The version of this hash; None where it is unknown."""
        return next((one for one in self.contracts if one.hash == given), None)

    def __iter__(self) -> Iterator[Contract]:
        return iter(self.contracts)

    def __len__(self) -> int:
        return len(self.contracts)

    def _of_group(self, task_type: str, model: str, config: str) -> tuple[_Timeline, ...]:
        group = (task_type, model, config)
        known = self._groups.get(group)
        if known is None:
            if len(self._groups) >= MAX_GROUPS:
                self._groups.clear()
            known = self._groups[group] = tuple(self._timelines(group))
        return known

    def _timelines(self, group: tuple[str, str, str]) -> Iterator[_Timeline]:
        for versions in self._names.values():
            matching = tuple(one if one.matches(*group) else None for one in versions)
            if any(one is not None for one in matching):
                yield _Timeline(tuple(one.from_us for one in versions), matching)


def _refuse_overlaps(versions: list[Contract]) -> None:
    seen: dict[str, Contract] = {}
    for one in versions:
        other = seen.setdefault(one.version, one)
        if other is not one:
            raise ContractError(
                f"{one.place}: version {one.version!r} of contract {one.name!r} is also in {other.place}"
                " (give one of them another version, or remove it)"
            )
    for earlier, later in pairwise(versions):
        if later.effective_from_us is None:
            raise ContractError(
                f"{later.place}: only the first version of a contract may have no effective_from; versions"
                f" {earlier.version!r} ({earlier.place}) and {later.version!r} of {later.name!r} have none"
                " (set it in the later one)"
            )
        if earlier.effective_from_us == later.effective_from_us:
            raise ContractError(
                f"{later.place}: effective_from must differ from that of version {earlier.version!r}"
                f" ({earlier.place}); both have {format_time(later.effective_from_us)} (move one of them)"
            )
        if earlier.effective_until_us is not None and earlier.effective_until_us > later.effective_from_us:
            raise ContractError(
                f"{earlier.place}: effective_until must not lie after the effective_from of version {later.version!r}"
                f" ({later.place}), {format_time(later.effective_from_us)}; got"
                f" {format_time(earlier.effective_until_us)} (remove it: the newer version takes over by itself)"
            )


def _refuse_too_many_rules(contracts: tuple[Contract, ...]) -> None:
    for contract in contracts:
        together = _beyond([contract], [other for other in contracts if _may_meet(contract, other)])
        if together is not None:
            places = ", ".join(f"{one.place or one.label} ({len(one.rules)})" for one in together)
            raise ContractError(
                f"{contract.place}: at most {MAX_RULES} rules may judge one call; these contracts may judge the same"
                f" one, with {sum(len(one.rules) for one in together)}: {places} (narrow their tasks, models or"
                " configs, or remove rules)"
            )


def _beyond(chosen: list[Contract], others: list[Contract]) -> list[Contract] | None:
    """Contracts that may all judge one call and have more than 64 rules; None where there are none such."""
    if sum(len(one.rules) for one in chosen) > MAX_RULES:
        return chosen
    if sum(len(one.rules) for one in (*chosen, *others)) <= MAX_RULES:
        return None
    for at, other in enumerate(others):
        found = _beyond([*chosen, other], [later for later in others[at + 1 :] if _may_meet(other, later)])
        if found is not None:
            return found
    return None


def _may_meet(one: Contract, other: Contract) -> bool:
    """Whether a call may be judged by both; where globs are hard to tell apart, True."""
    if one.name == other.name or max(one.from_us, other.from_us) >= min(one.until_us, other.until_us):
        return False
    pairs = ((one.tasks, other.tasks), (one.models, other.models), (one.configs, other.configs))
    return all(any(intersect(left, right) for left in ours for right in theirs) for ours, theirs in pairs)
