"""Defines what the rule on the version of the policy takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aftercall.contracts.params.base import Duration, Moment, RuleParams
from aftercall.times import parse_time


class PolicyVersion(RuleParams):
    """The call acted on the version that was in effect, or on one replaced at most `grace` before.

    `latest` names each version and the time from which on it is in effect.
    """

    type: Literal["policy_version"]
    latest: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=256)], Moment], Field(min_length=1, max_length=1000)
    ]
    grace: Duration = "1h"

    @property
    def needs(self) -> frozenset[str]:
        """The version."""
        return frozenset({"policy_version"})

    def refuse(self) -> str | None:
        """Two versions in effect from one instant on."""
        starts: dict[int, str] = {}
        for version, since in self.latest.items():
            other = starts.setdefault(parse_time(since), version)
            if other != version:
                return f"latest: versions {other!r} and {version!r} begin at one instant (only one can be in effect)"
        return None
