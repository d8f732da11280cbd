"""What a run's folder holds: by its stored state, and by the snapshot that it had published.

The keys of stored states are those of the code that wrote them. Where a change renames one that is read here, the older
name has to go on being understood: a golden is never written again.
"""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

from states.stored import states
from suites.of_ids import ids_of
from system.commands import table


def holds(out: Path) -> dict[str, int]:
    """How much there is of everything that a resumed run must not lose; `published_*` is in the newest snapshot."""
    return _stored(out) | {f"published_{name}": count for name, count in _published(out).items()}


def stored_alone(out: Path) -> dict[str, int]:
    """The same without what is published."""
    return _stored(out)


def missing(found: dict[str, int]) -> list[str]:
    """Of `holds`, what is not there."""
    return [name for name, count in found.items() if count == 0]


def _stored(out: Path) -> dict[str, int]:
    shards = [state.plain() for state in states(out, "outcomes.join")]
    drift = _only(out, "outcomes.drift")
    incidents = _only(out, "outcomes.alerting")["incidents"]["all"]
    cells = _only(out, "outcomes.snapshot_out")["cells"]
    if isinstance(cells, bytes):
        cells = pickle.loads(cells)
    return {
        "shards": len(shards),
        "open_calls": sum(len(shard["held"]["keys"]) for shard in shards),
        "ledgers": sum(_ledgers(shard["held"]) for shard in shards),
        "waiting_outcomes": sum(len(_waited_for(shard["waiting"])) for shard in shards),
        "early_outcomes": sum(_comes(shard["waiting"]) for shard in shards),
        "learned_delays_of_verdicts": len(cells["delays"][0]),
        "learned_delays_of_answers": int((drift["volume"]["delays"]["answered"].sum(axis=1) > 0).sum()),
        "open_alerts": sum(incident["closed"] is None for incident in incidents),
        "open_rate_alerts": sum(one["closed"] is None and one["kind"] == "drift" for one in incidents),
        "river": int(drift["opinion"]["river"] is not None),
    }


def _ledgers(held: Any) -> int:
    """How many calls have more than a single assertion; up to version 5 of the state they were objects."""
    if "cases" in held:
        return len(held["cases"])
    several = [owner for owner, count in Counter(held["owners"].tolist()).items() if count > 1]
    return len({*several, *held["errors"]})


def _waited_for(waiting: Any) -> list[Any]:
    """The call that each early outcome waits for; up to version 3 of the state they were no columns."""
    if isinstance(waiting, dict):
        return ids_of(waiting["call_ids"])
    return [call_id for _, outcomes in waiting for _, call_id, *_ in outcomes]


def _comes(waiting: Any) -> int:
    """How many outcomes wait together with one whose call is still to come."""
    together = Counter(_waited_for(waiting))
    return sum(count for call_id, count in together.items() if not str(call_id).startswith("stranger"))


def _published(out: Path) -> dict[str, int]:
    asked = {
        "pending_calls": "SELECT count(*) FROM calls WHERE verdict = 'pending'",
        "waiting_outcomes": "SELECT waiting FROM pipeline",
        "corrected_rates": "SELECT count(*) FROM rates WHERE maturity < 1 AND corrected_rate IS NOT NULL",
        "open_alerts": "SELECT count(*) FROM alerts WHERE state != 'closed'",
        "closed_calls": "SELECT expired FROM pipeline",
        "dead_letters": "SELECT count(*) FROM dead_letters",
    }
    return {name: int(table(out, query)[0][0]) for name, query in asked.items()}


def _only(out: Path, step: str) -> Any:
    (state,) = states(out, step)
    return state.plain()
