"""A source whose scores leave its scale is named once per batch, with the lines that settle it."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest

from aftercall.times import parse_time
from connectors.batch import Batch
from connectors.decode.decoder import OUTCOME, Decoder


def decoded(*scores: tuple[str, float], **settings: tuple[float, float] | None) -> Batch:
    raws = [
        json.dumps(
            {"outcome_id": f"o{i}", "call_id": "c", "occurred_at": f"2026-03-01T12:{i:02d}:00Z"}
            | {"source": source, "score": score}
        ).encode()
        for i, (source, score) in enumerate(scores)
    ]
    count = len(raws)
    return Decoder(now_us=2**62, max_future_skew_us=0, score_bounds=settings).decode(
        raws, np.full(count, OUTCOME, np.uint8), np.zeros(count, np.int32), np.arange(count), ["p"]
    )


def test_a_source_without_settings_is_named_with_how_often_and_when() -> None:
    batch = decoded(
        ("judge", 0.5), ("stars", 1), ("stars", 5), ("judge", 1.0), ("stars", 2), ("thumb", -1), ("judge", 0)
    )
    assert [tuple(warned)[:5] for warned in batch.warnings] == [
        ("score_scale", "stars", 2, parse_time("2026-03-01T12:02:00Z"), parse_time("2026-03-01T12:04:00Z")),
        ("score_scale", "thumb", 1, parse_time("2026-03-01T12:05:00Z"), parse_time("2026-03-01T12:05:00Z")),
    ]
    assert batch.warnings[0].detail == (
        "source 'stars' has scores outside 0 to 1 (2 to 5) and no bound for them is set, so 0.7 is a success (set its "
        "scale, such as [verdict.source.stars] scale = [1, 5], pass_at = 4)"
    )


@pytest.mark.parametrize(
    ("scores", "scale", "pass_at"),
    [
        ((2, 5), [1, 5], 4),
        ((0, 2), [1, 5], 4),
        ((7, 9.5), [0, 10], 7),
        ((5.0, 90), [0, 100], 70),
        ((-1, 1), [-1, 1], 1),
        ((-0.5,), [-1, 1], 1),
        ((250,), [0, 250], 175),
    ],
)
def test_the_lines_are_settings_and_guess_the_scale(
    scores: tuple[float, ...], scale: list[int], pass_at: float
) -> None:
    (warned,) = decoded(*(("its name", score) for score in scores)).warnings
    lines = (
        warned.detail.partition("such as ")[2]
        .removesuffix(")")
        .replace("] scale", "]\nscale")
        .replace(", pass", "\npass")
    )
    assert tomllib.loads(lines)["verdict"]["source"]["its name"] == {"scale": scale, "pass_at": pass_at}


def test_with_settings_only_what_leaves_the_scale_that_they_name_is_a_warning() -> None:
    batch = decoded(("stars", 3), ("stars", 6), ("percent", 90), stars=(1, 5), percent=None)
    assert [(warned.subject, warned.times) for warned in batch.warnings] == [("stars", 1)]
    assert "(6) outside its scale of 1 to 5" in batch.warnings[0].detail
    assert decoded(("judge", 0.5), ("judge", 1)).warnings == []
    assert [warned.subject for warned in decoded(("tens", 0.5), tens=(1, 10)).warnings] == ["tens"]
