"""Settings from a TOML file, the environment and the command line, validated and merged."""

from __future__ import annotations

from flows.settings.loading import Settings, load

__all__ = ["Settings", "load"]
