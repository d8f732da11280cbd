"""What the laws of steps look at in the step of sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from models.sessions import Resolving


def resolved(resolving: Resolving) -> Any:
    """What one message led to, without the numbers of batches."""
    found = resolving.resolved
    if found is None:
        return None
    stated = Counter(statement._replace(pos=0) for statement in found.statements)
    return stated, Counter(found.refused), found.tally, resolving.erased, Counter(resolving.checks)


def said(results: list[Resolving]) -> Any:
    """All statements, refusals and counts."""
    statements, refused, tally = Counter[Any](), Counter[Any](), Counter[str]()
    checks = Counter(check for one in results for check in one.checks)
    for found in (one.resolved for one in results if one.resolved is not None):
        statements.update(statement._replace(pos=0) for statement in found.statements)
        refused.update((refusal.reason, refusal.outcome_id) for refusal in found.refused)
        tally.update(found.tally)
    return statements, refused, {name: count for name, count in tally.items() if count}, checks


def held_sessions(state: dict[str, Any]) -> Any:
    """Sessions by their key, with their calls and what was said; the rest as it is."""
    keys = state["keys"].tolist()

    def rows(table: dict[str, Any], names: Iterable[str]) -> list[Any]:
        of = [keys[at] for at in table["session"].tolist()]
        return sorted(zip(of, *(table[name].tolist() for name in names), strict=True), key=repr)

    columns = [column.tolist() for name, column in state["sessions"].items() if name != "ids"]
    talks = zip([keys[at] for at in state["said_of"].tolist()], state["said"], state["next"].tolist(), strict=True)
    return {
        "sessions": sorted(zip(keys, *columns, strict=True)),
        "calls": rows(state["calls"], ("key", "at")),
        "lone": rows(state["lone"], ("key", "at", "given", "waits", "offset")),
        "said": sorted(talks, key=repr),
        "checks": {"courses": sorted(state["checks"]["courses"].items()), "swept_at": state["checks"]["swept_at"]},
        **{name: state[name] for name in ("lanes", "ended", "crowded", "watermark", "swept_at")},
    }
