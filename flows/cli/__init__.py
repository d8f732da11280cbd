"""Provides the command line, `aftercall`."""

from __future__ import annotations

from flows.cli.main import main

__all__ = ["main"]
