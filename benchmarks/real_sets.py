"""Lists the recorded sets that `make check-real` replays, and the rules for each.

The sets lie beside the checkout and are never copied into it, because some may not be redistributed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from aftercall.durations import format_duration
from flows.settings import Settings, load

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
AIDER_TASKS = ("ask", "chat_edit", "context", "help", "unknown")


@dataclass(frozen=True)
class Rules:
    """The settings that decide verdicts in one replay."""

    horizon: timedelta
    allowed_lateness: timedelta = timedelta(hours=1)
    orphan_wait: timedelta = timedelta(hours=24)
    precedence: tuple[str, ...] = ()
    silence: Mapping[str, str] = field(default_factory=dict)
    """Task type -> the verdict that silence means, at the horizon."""

    def settings(self) -> Settings:
        """The pipeline's settings for these rules, with defaults for all others."""
        horizon = format_duration(self.horizon)
        join = {
            "horizon": horizon,
            "allowed_lateness": format_duration(self.allowed_lateness),
            "orphan_wait": format_duration(self.orphan_wait),
        }
        tasks = {task: {"horizon": horizon, "silence": verdict} for task, verdict in self.silence.items()}
        return load(None, join=join, task=tasks, verdict={"precedence": list(self.precedence)})


@dataclass(frozen=True)
class RealSet:
    """A recorded set; `rules` by the name of the replay: "fitting" accepts the outcomes, "short" cuts many off."""

    name: str
    what: str
    rules: Mapping[str, Rules]
    hide_config: bool = False
    """Replay the calls without `config`, as an application sees an alias whose version changes behind it."""
    folder: str | None = None

    def files(self, workspace: Path) -> tuple[Path, Path] | None:
        """The files of calls and outcomes, None if the set is absent; a changed copy goes to `workspace`."""
        folder = DATA / (self.folder or self.name)
        calls, outcomes = (_present(folder / name) for name in ("calls.jsonl", "outcomes.jsonl"))
        if calls is None or outcomes is None:
            return None
        if self.hide_config:
            hidden = workspace / "calls_without_config.jsonl"
            with hidden.open("w") as file:
                file.writelines(_without_config(calls))
            return hidden, outcomes
        return calls, outcomes


def _present(path: Path) -> Path | None:
    return next((found for found in (path, path.with_name(path.name + ".gz")) if found.exists()), None)


def _without_config(calls: Path) -> Iterator[str]:
    with gzip.open(calls, "rt") if calls.suffix == ".gz" else calls.open() as lines:
        for line in lines:
            record = json.loads(line)
            del record["config"]
            yield json.dumps(record) + "\n"


def _merge_decides(horizon: timedelta) -> Rules:
    """A merge or a close decides about a pull request; reviews count only until then."""
    return Rules(horizon, precedence=("pr_merged", "pr_closed_unmerged"))


def _silence_is_success(horizon: timedelta) -> Rules:
    """Users undo bad edits and report nothing about good ones."""
    return Rules(horizon, silence=dict.fromkeys(AIDER_TASKS, "success"))


SETS = (
    RealSet(
        "aidev_pop_dev",
        "pull requests of two coding agents; merged, closed or reviewed up to months later",
        {"fitting": _merge_decides(timedelta(days=120)), "short": _merge_decides(timedelta(days=1))},
    ),
    RealSet(
        "aider_telemetry",
        "one user's coding tool; only failures are recorded, so silence means success",
        {
            "fitting": _silence_is_success(timedelta(hours=24)),
            "short": _silence_is_success(timedelta(minutes=2)),
        },
    ),
    RealSet(
        "metr_runs",
        "benchmark runs of seconds to days, launched in batches, many cut off by a usage limit",
        {"fitting": Rules(timedelta(days=10)), "short": Rules(timedelta(minutes=30))},
    ),
    RealSet(
        "llmdrift",
        "two models replaced by new versions, which `config` shows to the application; known changes, invented times",
        {
            "fitting": Rules(timedelta(minutes=1)),
            # Outcomes come after 2 s: each finds its call closed.
            "short": Rules(timedelta(seconds=1), timedelta(0), timedelta(seconds=30)),
        },
    ),
    RealSet(
        "llmdrift_hidden",
        "the same with `config` left out, as behind an alias",
        {"fitting": Rules(timedelta(minutes=1))},
        hide_config=True,
        folder="llmdrift",
    ),
    RealSet(
        "openhands_index",
        "one benchmark instance after another, many models and prices; some outcomes missing, invented times",
        {"fitting": Rules(timedelta(hours=2)), "short": Rules(timedelta(minutes=5), timedelta(minutes=1))},
    ),
)
