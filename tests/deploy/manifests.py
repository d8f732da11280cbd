"""Reading what lies in deploy/."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping, as YAML demands; PyYAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{node.start_mark}: a key stands twice among {keys}"
        return super().construct_mapping(node, deep)


def document(path: Path) -> Any:
    """The one document of a YAML file."""
    return yaml.load(path.read_text(encoding="utf-8"), _Strict)  # noqa: S506 - a SafeLoader


def within(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), inner
            yield from within(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from within(inner)


def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile: name and the rest."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def image_environment() -> dict[str, str]:
    """The ENV of the final stage."""
    instructions = dockerfile()
    last = max(i for i, (name, _) in enumerate(instructions) if name == "FROM")
    words = [word for name, rest in instructions[last:] if name == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)
