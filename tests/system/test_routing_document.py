"""The settings that docs/routing.md shows and names are settings, with the values that it states."""

from __future__ import annotations

import tomllib
from datetime import timedelta

from flows.settings import load
from system.documents import blocks, document

TEXT = document("docs/routing.md")


def test_the_settings_shown_are_accepted_and_mean_what_is_said() -> None:
    (shown,) = blocks(TEXT, "toml")
    asked = load(None, **tomllib.loads(shown)).task["support"]
    assert (asked.value, asked.max_latency_p95_ms, asked.deny) == (0.5, 8000, ["large/experimental-*"])
    assert load(None, task={"support": {"pinned": "small/prompt-v7"}}).task["support"].pinned == "small/prompt-v7"


def test_the_defaults_stated_are_the_defaults() -> None:
    settings = load(None)
    routing = settings.routing
    assert (routing.min_evidence, routing.max_arms, routing.floor) == (30, 200, 0)
    assert (routing.every, routing.valid_for, routing.memory) == (
        timedelta(minutes=15), timedelta(hours=6), timedelta(days=7),
    )  # fmt: skip
    assert (settings.join.horizon, settings.drift.warmup) == (timedelta(days=30), timedelta(days=3))
    for name in ("`routing.min_evidence` resolved calls (30)", "`routing.max_arms` (200)", "`routing.every` (15 min)"):
        assert name in TEXT
