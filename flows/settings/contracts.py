"""Defines the section `[contracts]` of the settings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from flows.settings.sections import Section


class ContractsSection(Section):
    """Where the contracts are, and what a violation means for the verdict on its call."""

    folder: str = Field(default="contracts", min_length=1)
    """A file for each version; without this folder nothing is judged."""
    verdict: Literal["critical", "major", "never"] = "critical"
    """A violation of this severity, or a worse one, is a failure of its call."""
    evidence: Literal["names", "snippet"] = "names"
    """What a result of a rule on texts shows: the names of what was found, or also a piece of the text, redacted."""

    publish: bool = False
    """Whether violations go to the topic `agent.checks` too, of a replay into `checks.jsonl`."""

    def deciding(self) -> dict[str, Any]:
        """What decides verdicts: nothing where it is the default, as runs that an earlier version began have none."""
        return {} if self.verdict == "critical" else {"verdict": self.verdict}
