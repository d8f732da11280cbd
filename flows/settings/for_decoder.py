"""From the settings to the decoder of a lane."""

from __future__ import annotations

from collections.abc import Callable

from aftercall.times import duration_us
from connectors.decode.decoder import Decoder
from connectors.decode.redaction import RedactingDecoder
from flows.settings.loading import Settings


def decoder_of(settings: Settings, now_us: Callable[[], int] | int) -> Decoder:
    """A decoder; one that redacts where there is something to redact."""
    skew_us, keep = duration_us(settings.join.max_future_skew), settings.privacy.keep_payloads
    if settings.privacy.redact:
        return RedactingDecoder(settings.privacy.redact, now_us=now_us, max_future_skew_us=skew_us, keep_payloads=keep)
    return Decoder(now_us=now_us, max_future_skew_us=skew_us, keep_payloads=keep)
