"""The documents of this repository, and what they show: commands, outputs, queries, settings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    path
    for top in ROOT.iterdir()
    if not top.name.startswith(".")
    for path in ([top] if top.suffix == ".md" else top.rglob("*.md"))
    if "node_modules" not in path.parts
)
"""Every Markdown file of ours outside hidden folders."""

WIDTH = "100"
"""Columns of the terminal whose output the documents show."""
LEFT_OUT = "[...]"
"""In an output shown: lines that are not."""
INSTALLING = ("git clone ", "make ", ". .venv/")
DEMO = "aftercall-demo"


class Shell(NamedTuple):
    """A block of commands, and what is shown of their output ("" where nothing is)."""

    commands: str
    shown: str


def document(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def shells(text: str) -> list[Shell]:
    found = re.finditer(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", text, re.MULTILINE | re.DOTALL)
    return [Shell(block[1], block[2] or "") for block in found]


def section(title: str) -> str:
    """A section of the README."""
    found = re.search(rf"^## {title}\n.*?(?=^## )", README, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[0]


def run(commands: str, folder: Path) -> str:
    """Standard output of commands as a reader would type them in the activated environment, one after the other."""
    lines = [line for line in commands.splitlines() if not line.startswith(INSTALLING)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("AFTERCALL_")}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "COLUMNS": WIDTH}
    done = subprocess.run(
        ["sh", "-euc", "\n".join(lines)], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{commands}\n{done.stderr}"
    return done.stdout


def missing(shown: str, printed: str) -> list[str]:
    """Lines that are shown but were not printed in that order."""
    left = iter([line.strip() for line in printed.splitlines()])
    return [line for line in shown.splitlines() if line.strip() not in {"", LEFT_OUT} and line.strip() not in left]
