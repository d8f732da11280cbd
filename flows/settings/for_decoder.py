"""Builds the decoder of a lane from the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aftercall.times import duration_us
from connectors.decode.aliases import AliasSettings
from connectors.decode.decoder import Decoder
from connectors.decode.redaction import RedactingDecoder
from flows.settings.loading import Settings


def decoder_of(settings: Settings, now_us: Callable[[], int] | int) -> Decoder:
    """A decoder; a redacting one if `privacy.redact` is set. `now_us`: wall clock in µs, or a function for it."""
    alias = settings.alias
    common: dict[str, Any] = {
        "now_us": now_us,
        "max_future_skew_us": duration_us(settings.join.max_future_skew),
        "keep_payloads": settings.privacy.keep_payloads,
        "aliases": AliasSettings(alias.task, alias.model, alias.config),
        "score_bounds": {name: score.scale for name, score in settings.verdict.source.items() if score.says_of_scores},
        "ids_as_uuids": settings.join.id_form == "uuid",
    }
    if settings.privacy.redact:
        return RedactingDecoder(settings.privacy.redact, **common)
    return Decoder(**common)
