"""docs/reference.md names what the code has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from aftercall import (
    DEAD_LETTER_REASONS,
    AgentCall,
    Alert,
    DeadLetter,
    Digest,
    DigestEntry,
    Mark,
    NamedMark,
    Outcome,
    Recommendation,
    Slice,
    VerdictRecord,
)
from flows.settings.golden import Golden
from flows.settings.loading import Settings, load
from flows.settings.sections import Section
from flows.settings.task_types import Task
from flows.settings.verdicts import SourceScore

TEXT = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "record",
    [AgentCall, Outcome, Mark, NamedMark, VerdictRecord, Recommendation, Alert, Slice, Digest, DigestEntry, DeadLetter],
)
def test_every_field_of_every_record_is_documented(record: type[AgentCall]) -> None:
    words = set(re.sub("[`,:{}]", " ", TEXT).split())
    assert set(record.model_fields) <= words


def test_every_reason_of_a_dead_letter_is_documented_with_its_meaning() -> None:
    for reason, meaning in DEAD_LETTER_REASONS.items():
        assert f"| `{reason}` | {meaning} |" in TEXT


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in {"task", "golden"}])
def test_every_setting_is_documented_with_its_default_in_the_row_of_its_section(name: str) -> None:
    row = next(line for line in TEXT.splitlines() if line.startswith(f"| `[{name}]`"))
    defaults: Any = tomllib.loads("\n".join(re.findall(r"`([a-z0-9_]+ = [^`]+)`", row)))
    sections: dict[str, Any] = {name: defaults}
    assert load(**sections) == Settings()
    others = set(Settings.model_fields[name].annotation.model_fields) - set(defaults)  # type: ignore[union-attr]
    assert all(f"`{key}`" in row for key in others - {"source", "topics", "weights", "tiers"})  # these have rows


@pytest.mark.parametrize("section", [Task, SourceScore, Golden])
def test_every_setting_of_a_named_section_is_documented(section: type[Section]) -> None:
    start = {Task: "| `[task.NAME]`", SourceScore: "| `[verdict.source.NAME]`", Golden: "| `[golden.NAME]`"}[section]
    row = next(line for line in TEXT.splitlines() if line.startswith(start))
    for key in section.model_fields:
        assert f"`{key}" in row
