"""Offers outcomes to users: `outcome` and `retract`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Never

from aftercall.capture.call import Label
from aftercall.capture.settings import UNKNOWN, Capturing
from aftercall.capture.statement import state

if TYPE_CHECKING:
    from datetime import datetime

    from aftercall.events import Scope


class States:
    """The part of a client that states outcomes; both methods take microseconds and never raise."""

    _capturing: Capturing

    def outcome(
        self,
        call_id: str | None = None,
        *,
        source: str | None = None,
        success: bool | None = None,
        score: float | None = None,
        reason: str | None = None,
        author: str | None = None,
        scorer: str | None = None,
        outcome_id: str | None = None,
        session_id: str | None = None,
        scope: Scope | None = None,
        occurred_at: datetime | str | None = None,
        call_occurred_at: datetime | str | None = None,
        attrs: Mapping[str, Label] | None = None,
        **unknown: Never,
    ) -> str:
        """State how a call, or a session, turned out; in any process, at any time later.

        Args:
            call_id: of the call. With `session_id` only for the scope `descendants`.
            source: who says so: `user_feedback`, `human_review`, `judge`, ..., or your own; required.
            success: the verdict; or `score`, which the settings of the source turn into one.
            score: see `success`; finite.
            reason: why, in the words of the source.
            author: where several people or judges share a source.
            scorer: name and version of what gave the score.
            outcome_id: one of the caller's own, such as that of a webhook, so that a repeat is a duplicate. It is one
                at a later moment too, unless its source has `same_id = "revises"`: give `occurred_at` there.
            session_id: the outcome is about calls of this session; `scope` says which.
            scope: `last` (default), `all`, `root`, `descendants`.
            occurred_at: when it was stated; default: now. A `datetime` needs an offset.
            call_occurred_at: when the call was, where that is known.
            attrs: labels.
            unknown: arguments that do not exist make the event invalid.

        Returns:
            The `outcome_id`, by which `retract` can withdraw it.
        """
        fields: dict[str, Any] = {
            "call_id": call_id,
            "source": source,
            "success": success,
            "score": score,
            "reason": reason,
            "author": author,
            "scorer": scorer,
            "session_id": session_id,
            "scope": scope,
            "occurred_at": occurred_at,
            "call_occurred_at": call_occurred_at,
            "attrs": attrs,
        }
        if unknown:
            fields[UNKNOWN] = tuple(unknown)
        return state(self._capturing, fields, outcome_id)

    def retract(
        self,
        call_id: str | None = None,
        *,
        source: str | None = None,
        outcome_id: str | None = None,
        author: str | None = None,
        session_id: str | None = None,
        reason: str | None = None,
        **unknown: Never,
    ) -> str:
        """Withdraw what was stated about a call or a session.

        Args:
            call_id: of the call.
            source: all that it said before now, or that its `author` did.
            outcome_id: this one statement, of whatever source.
            author: see `source`.
            session_id: in place of `call_id`: of outcomes of a session.
            reason: why.
            unknown: arguments that do not exist make the event invalid.

        Returns:
            The `outcome_id` of the retraction, which cannot be retracted.
        """
        fields: dict[str, Any] = {
            "call_id": call_id,
            "source": source,
            "retracts": outcome_id,
            "author": author,
            "session_id": session_id,
            "reason": reason,
            "action": "retract",
        }
        if unknown:
            fields[UNKNOWN] = tuple(unknown)
        return state(self._capturing, fields, None)
