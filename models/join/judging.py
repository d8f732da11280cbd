"""Makes violations of contracts statements of the pipeline's own."""

from __future__ import annotations

from aftercall.vocabulary import CONTRACT, CONTRACT_PREFIX
from models.join.statements import Statement
from models.side_messages import ContractFailure


def statement_of(failure: ContractFailure, at: int, minute: int) -> Statement:
    """The statement in which a violation enters the ledger of its call, at the time of the call."""
    return Statement(
        at,
        failure.outcome_id,
        CONTRACT,
        given=False,
        score=None,
        retract=False,
        retracts=None,
        reason=failure.reason,
        minute=minute,
    )


def is_own(outcome_id: str) -> bool:
    """Whether a statement is the pipeline's own: no producer may use such an id."""
    return outcome_id.startswith(CONTRACT_PREFIX)
