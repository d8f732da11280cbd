"""The wording guide, as far as a machine can hold it: words that an actor and a verb of the field replace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from architecture.rooms import ROOT

REPLACED: Final = re.compile(r"(?<![.\w])(told|whoever|whom|nobody|somebody|anew)\b", re.IGNORECASE)
PLACES: Final = ("models", "connectors", "flows", "sdk", "benchmarks", "docs", "deploy")
PAGES: Final = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


def texts() -> list[Path]:
    """What readers read: code and pages."""
    found = [path for place in PLACES for path in (ROOT / place).rglob("*") if path.suffix in {".py", ".md", ".yaml"}]
    # Decision records are history, and their actors are people.
    return [path for path in found if path.parent.name != "decisions"] + [ROOT / page for page in PAGES]


def test_there_are_texts_to_look_at() -> None:
    assert len(texts()) > 200


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_text_uses_no_word_that_the_guide_replaces(path: Path) -> None:
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    found = [f"{number}: {line.strip()[:100]}" for number, line in lines if REPLACED.search(_without_names(line))]
    assert not found, "\n".join(found)


def _without_names(line: str) -> str:
    """Without names of tests, which are sentences of their own."""
    return re.sub(r"test_\w+", "", line)
