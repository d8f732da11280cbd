"""Times, groups, metrics and numbers as sentences have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from aftercall.times import to_datetime
from models.messages import AnyGroup


def significant(value: float) -> float:
    """`value` to 6 significant digits.

    >>> significant(2731.0987654321)
    2731.1
    """
    return float(f"{value:.6g}")


def utc_text(us: int) -> str:
    """A time for a sentence.

    >>> utc_text(0)
    '1970-01-01 00:00 UTC'
    """
    return f"{to_datetime(us):%Y-%m-%d %H:%M} UTC"


def group_text(group: AnyGroup) -> str:
    """A group for a sentence.

    >>> group_text(("refund", "model-a", None))
    "task 'refund', model 'model-a', all configs"
    """
    task, model, config = group
    if model is None:
        return f"task '{task}', all models"
    return f"task '{task}', model '{model}', " + ("all configs" if config is None else f"config '{config}'")


class _Phrases(Mapping[str, str]):
    """What a metric is called at the start of a sentence: "... of task 'refund', all models fell from ...".

    >>> METRICS["latency_ms"], METRICS["responses:user_feedback"]
    ('Typical latency', "Response rate of source 'user_feedback'")
    >>> METRICS["score:p10:judge"]
    "Share of scores by 'judge' above their usual p10"
    >>> METRICS.get("groups", "Number of groups")
    'Number of groups'
    """

    _WHOLE: Final = {
        "success_rate": "Success rate",
        "latency_ms": "Typical latency",
        "cost_usd": "Typical cost per call",
        "tokens": "Typical number of tokens per call",
        "calls": "Traffic",
    }
    _VALUES: Final = {"latency_ms": "latencies", "cost_usd": "costs per call", "tokens": "numbers of tokens"}

    def __getitem__(self, metric: str) -> str:
        if metric in self._WHOLE:
            return self._WHOLE[metric]
        name, _, rest = metric.partition(":")
        quantile, _, source = rest.partition(":")
        if name in self._VALUES and rest:
            return f"Share of {self._VALUES[name]} above their usual {rest}"
        if name == "score" and source and quantile in {"p10", "p50"}:
            return f"Share of scores by '{source}' above their usual {quantile}"
        if name in {"score", "responses"} and rest:
            return f"Mean score by '{rest}'" if name == "score" else f"Response rate of source '{rest}'"
        raise KeyError(metric)

    def __iter__(self) -> Iterator[str]:
        return iter(self._WHOLE)

    def __len__(self) -> int:
        return len(self._WHOLE)


METRICS: Final = _Phrases()
