"""Traffic of each kind is what the kind says, and the pipeline takes all of it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.product.kinds import KINDS, made
from benchmarks.product.traffic import Shape, traffic
from connectors.decode.decoder import Decoder

SHAPE = Shape(400, groups=20)


@pytest.mark.parametrize("kind", ["editions", "authors", "completions"])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_share_of_the_records_becomes_two(kind: str, share: float) -> None:
    plain, records = traffic(SHAPE), made(SHAPE._replace(kind=kind, share=share))
    of = np.count_nonzero(plain.kinds == KINDS[kind].of)
    assert (np.diff(records.arrival_us) >= 0).all()
    assert (len(records) - len(plain)) / of == pytest.approx(share, abs=0.08)


def test_without_a_kind_it_is_plain_traffic() -> None:
    assert made(SHAPE).values == traffic(SHAPE).values


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sessions"])
def test_all_of_it_decodes(kind: str) -> None:
    records = made(SHAPE._replace(kind=kind, share=1.0))
    decoder = Decoder(now_us=int(records.arrival_us.max()), max_future_skew_us=0)
    rows = np.arange(len(records))
    assert not decoder.decode(records.values, records.kinds, np.zeros(len(rows), np.int32), rows, ["topic"]).refused
