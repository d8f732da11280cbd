"""Round numbers for records: six significant digits."""

from __future__ import annotations

from collections.abc import Mapping


def significant(value: float) -> float:
    """`value` to 6 significant digits.

    >>> significant(2731.0987654321)
    2731.1
    """
    return float(f"{value:.6g}")


def rounded(evidence: Mapping[str, float]) -> dict[str, float]:
    """Numbers under their names, each to 6 significant digits.

    >>> rounded({"mean_r": 4000.00049})
    {'mean_r': 4000.0}
    """
    return {name: significant(value) for name, value in evidence.items()}
