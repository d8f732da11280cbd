"""Reads settings from a TOML file, the environment and the command line, and validates them."""

from __future__ import annotations

from flows.settings.loading import Settings, load

__all__ = ["Settings", "load"]
