"""Draws plots of docs/images with Vega-Lite, if vl-convert is installed (dependency group `report`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

IMAGES: Final = Path(__file__).resolve().parents[1] / "docs" / "images"

Row = Mapping[str, Any]


def draw(name: str, specification: dict[str, Any], folder: Path = IMAGES) -> Path | None:
    """Draw one plot into `folder`; None if vl-convert is absent."""
    try:
        import vl_convert
    except ModuleNotFoundError:
        return None
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.svg"
    path.write_text(vl_convert.vegalite_to_svg(specification) + "\n", encoding="utf-8")
    return path


def chart(title: str, values: Sequence[Row], **more: Any) -> dict[str, Any]:
    """A specification in Vega-Lite; `more` are its mark and encoding, without which it has no size either."""
    size = {"width": 520, "height": 320} if more else {}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": title,
        "background": "white",
        "data": {"values": list(values)},
        **size,
        **more,
    }
