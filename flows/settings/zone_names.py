"""Checks the names of time zones, without what detectors load: each command reads the settings."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator


def _zone_name(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone of the IANA database, such as 'Europe/Berlin'") from None
    return name


ZoneName = Annotated[str, AfterValidator(_zone_name)]
