"""Finds out what others say about past calls: the verdicts of a replay of calls and outcomes, without contracts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aftercall.vocabulary import CALL, SILENCE
from flows.contract_check.past_calls import Group
from flows.replay import Replay, run
from flows.reports.snapshot_reader import open_snapshot
from flows.settings import Settings

CONTRACT = "contract"


class KnownVerdict(NamedTuple):
    """Of a call: success, failure, pending or expired, and the source that it rests on."""

    verdict: str
    source: str | None

    @property
    def is_answer(self) -> bool:
        """Whether a source other than the call itself, silence and contracts has decided."""
        return self.verdict in {"success", "failure"} and self.source not in {CALL, SILENCE, CONTRACT}


def verdicts_of(
    calls: Sequence[Path], outcomes: Sequence[Path], folder: Path, settings: Settings
) -> dict[str, KnownVerdict]:
    """The verdict of each call by `call_id`, as a replay of these files without the contracts of the settings gives it.

    Raises:
        UserError: a file cannot be read, or the folder cannot be written.
    """
    out = folder / "replay"
    out.mkdir()
    nowhere = settings.contracts.model_copy(update={"folder": str(folder / "no contracts")})
    run(Replay(calls, outcomes, out, settings.model_copy(update={"contracts": nowhere})))
    with open_snapshot(out / "outcomes.duckdb") as base:
        rows = base.sql("SELECT call_id, verdict, verdict_source FROM calls WHERE attempt = 0").fetchall()
    return {call_id: KnownVerdict(verdict, source) for call_id, verdict, source in rows}


class Shift(NamedTuple):
    """The success rate of a group as it is, and as it would read with violations as failures."""

    group: Group
    calls: int
    violations: int
    answered: int
    before: tuple[int, int]
    """Successes and resolved calls."""
    after: tuple[int, int]


def shift(
    group: Group, calls: Sequence[str], violating: set[str], known: dict[str, KnownVerdict], precedence: Sequence[str]
) -> Shift:
    """What violations would make of the success rate of a group.

    Args:
        group: task type, model, config.
        calls: ids of its calls.
        violating: ids of calls that fail a rule whose violations are statements.
        known: verdicts without contracts.
        precedence: sources, the highest first: `verdict.precedence`.
    """
    found = [(known[one], one in violating) for one in calls if one in known]
    after = [_with_contract(one, precedence) if violates else one.verdict for one, violates in found]
    return Shift(
        group,
        len(calls),
        sum(one in violating for one in calls),
        sum(one.is_answer for one, _ in found),
        _counts([one.verdict for one, _ in found]),
        _counts(after),
    )


def _with_contract(verdict: KnownVerdict, precedence: Sequence[str]) -> str:
    """The verdict once a failure of source `contract`, at the call's own time, is stated too."""
    ranks = {source: rank for rank, source in enumerate(precedence)}
    # Beyond the list the newest decides, and nothing is older than a statement at the call's own time.
    contract = ranks.get(CONTRACT, len(ranks) + 1)
    outranked = verdict.is_answer and ranks.get(verdict.source or "", len(ranks)) < contract
    return verdict.verdict if outranked else "failure"


def _counts(verdicts: Sequence[str]) -> tuple[int, int]:
    successes = verdicts.count("success")
    return successes, successes + verdicts.count("failure")
