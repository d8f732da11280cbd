"""What rules on texts cost: 8 patterns of restricted data and 200 phrases over 2 kB of text.

The pass as producers call it is compared with one JSON decode of the text by msgspec; in the lane its share is of the
processor time of decode and join of calls that carry such a text.
"""

from __future__ import annotations

import json
import random
from typing import Any, Final

import msgspec
import numpy as np
from bytewax.testing import run_main

from aftercall.contracts.contract import Contract
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.syntax import contract_of
from aftercall.contracts.texts.text_pass import TextPass
from benchmarks.columnar import flow
from benchmarks.contracts.turns import best_s
from benchmarks.traffic import CALL, Traffic
from connectors.decode.contract_texts import ContractTexts
from connectors.decode.decoder import Decoder
from models.rates import RateCells

SEED: Final = 3
TEXTS: Final = 1_000
ROUNDS: Final = 15
PHRASES: Final = 200
WORDS_OF_TEXT: Final = 290
_CALLS: Final = 5_000
_BEYOND_ASCII: Final[dict[str | int, str | int | None]] = {"a": "\u00e4", "o": "\u00f6", "u": "\u00fc", "s": "\u00df"}
_NOW_US: Final = 1_900_000_000_000_000


def words(draw: random.Random) -> list[str]:
    """A vocabulary of 5,000 words."""
    return ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(3, 9))) for _ in range(5_000)]


def contract(vocabulary: list[str], draw: random.Random) -> Contract:
    """Two rules: 7 kinds of restricted data and a pattern, and 200 phrases of ten topics."""
    topics = {f"topic {i}": [" ".join(draw.sample(vocabulary, 2)) for _ in range(PHRASES // 10)] for i in range(10)}
    rules = [
        {"id": "data", "type": "restricted_data", "patterns": [r"emp-\d{6}"], "where": "output"},
        {"id": "topics", "type": "prohibited_topics", "topics": topics},
    ]
    return contract_of({"contract": "texts", "version": "1", "rule": rules}, "texts")


def texts(vocabulary: list[str], draw: random.Random) -> list[str]:
    """Texts of 2 kB in which nothing is found, as most are; with numbers and a date, as answers have."""
    end = " order 4711 of 2026-03-01 is 12.50 EUR"
    return [" ".join(draw.choices(vocabulary, k=WORDS_OF_TEXT)) + end for _ in range(TEXTS)]


def figures() -> dict[str, float]:
    """The figures of this part. About a minute."""
    draw = random.Random(SEED)
    vocabulary = words(draw)
    judging, sent = contract(vocabulary, draw), texts(vocabulary, draw)
    return over_json_decode(judging, sent) | share(judging, sent)


def over_json_decode(judging: Contract, sent: list[str]) -> dict[str, float]:
    """Times of the pass, once its search has met these texts, over the time of decoding them."""
    searching = TextPass(judging)
    umlauts = [text.translate(str.maketrans(_BEYOND_ASCII)) for text in sent]
    found = [text.replace("4711", "4111 1111 1111 1111") for text in sent]
    variants = {
        "decode": _decoding(sent),
        "pass": lambda: [searching.results(None, text) for text in sent],
        "decode_umlauts": _decoding(umlauts),
        "pass_umlauts": lambda: [searching.results(None, text) for text in umlauts],
        "pass_found": lambda: [searching.results(None, text) for text in found],
    }
    best = best_s(variants, ROUNDS)
    return {
        "text_us_over_json_decode": best["pass"] / best["decode"],
        "over_json_decode_beyond_ascii": best["pass_umlauts"] / best["decode_umlauts"],
        "over_json_decode_where_a_card_is_found": best["pass_found"] / best["decode"],
        "pass_us": best["pass"] / len(sent) * 1e6,
        "json_decode_us": best["decode"] / len(sent) * 1e6,
    }


def share(judging: Contract, sent: list[str]) -> dict[str, float]:
    """What the decoder takes longer with the contract, over decode and join without it."""
    raws = [_call(i, sent[i % len(sent)]) for i in range(_CALLS)]
    traffic = Traffic(raws, np.full(len(raws), CALL, np.uint8))
    without = Decoder(now_us=_NOW_US, max_future_skew_us=0)
    judged = Decoder(now_us=_NOW_US, max_future_skew_us=0, contracts=ContractTexts(ContractSet([judging])))
    variants = {
        "decode": lambda: _decode(without, traffic),
        "judge": lambda: _decode(judged, traffic),
        "decode_and_join": lambda: run_main(flow(traffic, RateCells())),
    }
    best = best_s(variants, ROUNDS // 3)
    return {"share_text": (best["judge"] - best["decode"]) / best["decode_and_join"]}


def _decoding(sent: list[str]) -> Any:
    raws = [msgspec.json.encode({"output": text}) for text in sent]
    return lambda: [msgspec.json.decode(raw) for raw in raws]


def _call(number: int, output: str) -> bytes:
    at = f"2026-03-01T12:{number // 60 % 60:02d}:{number % 60:02d}Z"
    names = {"task_type": "refund", "model": "large", "config": f"v{number % 3}"}
    return json.dumps({"call_id": f"call-{number:08d}", "occurred_at": at, **names, "output": output}).encode()


def _decode(decoder: Decoder, traffic: Traffic) -> object:
    count = len(traffic.raws)
    return decoder.decode(traffic.raws, traffic.kinds, np.zeros(count, np.int32), np.arange(count), ["p"])
