"""Builds the decoder of a lane from the settings."""

from __future__ import annotations

from collections.abc import Callable

from aftercall.times import duration_us
from connectors.decode.decoder import Decoder
from connectors.decode.redaction import RedactingDecoder
from flows.settings.loading import Settings


def decoder_of(settings: Settings, now_us: Callable[[], int] | int) -> Decoder:
    """A decoder; a redacting one if `privacy.redact` is set. `now_us`: wall clock in µs, or a function for it."""
    skew_us, keep = duration_us(settings.join.max_future_skew), settings.privacy.keep_payloads
    if settings.privacy.redact:
        return RedactingDecoder(settings.privacy.redact, now_us=now_us, max_future_skew_us=skew_us, keep_payloads=keep)
    return Decoder(now_us=now_us, max_future_skew_us=skew_us, keep_payloads=keep)
