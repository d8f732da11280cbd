"""Builds the decoder of a lane from the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aftercall.contracts.contract_set import ContractSet
from aftercall.times import duration_us
from connectors.decode.aliases import AliasSettings
from connectors.decode.decoder import Decoder
from connectors.decode.redaction import RedactingDecoder
from connectors.decode.text_keeper import TextKeeper
from flows.settings.loading import Settings

if TYPE_CHECKING:  # it loads all kinds of rules, which only contracts are worth
    from connectors.decode.contract_texts import ContractTexts


def decoder_of(settings: Settings, now_us: Callable[[], int] | int, contracts: ContractSet | None = None) -> Decoder:
    """A decoder; a redacting one if `privacy.redact` is set.

    Args:
        settings: of the run.
        now_us: wall clock in µs, or a function for it.
        contracts: whose rules on texts are judged before the texts are dropped; absent: none.
    """
    alias = settings.alias
    common: dict[str, Any] = {
        "now_us": now_us,
        "max_future_skew_us": duration_us(settings.join.max_future_skew),
        "keep_payloads": settings.privacy.keep_payloads,
        "aliases": AliasSettings(alias.task, alias.model, alias.config),
        "score_bounds": {name: score.scale for name, score in settings.verdict.source.items() if score.says_of_scores},
        "ids_as_uuids": settings.join.id_form == "uuid",
        "texts": _text_keeper(settings),
        "contracts": _contract_texts(settings, contracts),
        "number_tools": any("tool_calls" in rule.reads for one in contracts or () for rule in one.rules),
    }
    if settings.privacy.redact:
        return RedactingDecoder(settings.privacy.redact, **common)
    return Decoder(**common)


def _text_keeper(settings: Settings) -> TextKeeper | None:
    texts = settings.texts
    if texts.keep == "none":
        return None
    share = texts.sample if texts.keep == "sampled" else 1.0
    return TextKeeper(share, texts.max_bytes, settings.privacy.redact)


def _contract_texts(settings: Settings, contracts: ContractSet | None) -> ContractTexts | None:
    if not contracts:
        return None
    from connectors.decode.contract_texts import ContractTexts

    judging = ContractTexts(contracts, settings.privacy.redact if settings.contracts.evidence == "snippet" else None)
    return judging if judging.any else None
