"""Defines what a service runs: its settings, its folder, and what its operator accepts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from flows.settings import Settings


@dataclass(frozen=True)
class ServiceRun:
    """What to run.

    Attributes:
        settings: all settings.
        out: folder of the snapshot and the state.
        accept_config_change: if settings that decide verdicts have changed, apply them to calls accepted from now on.
        accept_data_loss: resume although records have expired unread, or a topic was deleted and created again.
        accept_unsealed_state: accept stored state whose checksums have no key, and seal it with the key.
        wait_for_broker: how long the broker may be away at the start; None: for ever.
        take_over: take the topics from another service that has claimed them, and go on in a folder that fell behind.
    """

    settings: Settings
    out: Path
    accept_config_change: bool = False
    accept_data_loss: bool = False
    accept_unsealed_state: bool = False
    wait_for_broker: timedelta | None = None
    take_over: bool = False
