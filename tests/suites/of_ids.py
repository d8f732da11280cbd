"""Reads stored ids and early outcomes, whatever their rows and codes are."""

from __future__ import annotations

from itertools import pairwise
from typing import Any


def texts_of(ids: dict[str, Any]) -> list[str]:
    """The ids that are stored as texts, in order."""
    ends = ids["lengths"].cumsum(dtype=int).tolist()
    text = ids["text"].tobytes()
    return [text[start:end].decode() for start, end in pairwise((0, *ends))]


def ids_of(ids: dict[str, Any]) -> list[Any]:
    """Stored ids, each as its text or as (kind, high, low)."""
    in_texts = 3  # the kind of an id that is neither a UUID nor as long as one
    texts = iter(texts_of(ids))
    words = zip(*(ids[name].tolist() for name in ("kind", "high", "low")), strict=True)
    return [next(texts) if kind == in_texts else (kind, *word) for kind, *word in words]


def waiting_of(state: dict[str, Any]) -> dict[int, list[Any]]:
    """Early outcomes by the key of their call, whatever their rows and codes are, in the order of their arrival."""
    ids = [ids_of(state["call_ids"]), ids_of(state["outcome_ids"])]
    reasons = dict(zip(state["reasons"]["has_text"].tolist(), texts_of(state["reasons"]), strict=True))
    found: dict[int, list[Any]] = {}
    for place, key in enumerate(state["keys"].tolist()):
        names = ("at", "ends", "minute", "given", "offset", "size", "hash")
        columns = {name: state[name][place].tolist() for name in names}
        columns |= {"score": repr(state["score"][place]), "reason": reasons.get(place)}
        for name in ("sources", "partitions"):
            code = state[name.removesuffix("s")][place].item()
            columns[name] = None if code < 0 else state[name][code]
        found.setdefault(key, []).append([columns, [one[place] for one in ids], state["retracts"].get(place)])
    return found
