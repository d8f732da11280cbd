"""Cases of votes, scorers and fallbacks: several records about one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.cases.running import Check, Found, Raw, Run

_FEEDBACK: Final = "[verdict.source.user_feedback]\n"
_REVISES: Final = _FEEDBACK + 'same_id = "revises"\n'
_HINT: Final = "of these ids of sessions"
_SCORERS: Final = ("relevance", "toxicity", "groundedness")


def _verdicts(run: Run) -> Found:
    return run.verdicts() | run.dead()


def _named(word: str) -> Callable[[Run], Found]:
    """Of the dead letters: how many there are by reason, and how many details have a word."""

    def got(run: Run) -> Found:
        details = [detail for (detail,) in run.rows("SELECT detail FROM dead_letters")]
        named = sum(word in detail for detail in details)
        return run.dead() | {f"name `{word}`": f"{named} of {len(details)}"}

    return got


def _editions(run: Run) -> Found:
    ((edition,),) = run.rows("SELECT max(edition) FROM statements")
    ((most,),) = run.rows("SELECT max(statements) FROM calls")
    return _verdicts(run) | {"statements of a call": most, "newest edition": edition}


def _cleared(record: Raw) -> Raw | None:
    """Ids that were never seen and an action that does not exist, as their sender is asked to write them."""
    if record.get("outcome_id") not in {"c0", "c1", "c4"}:
        return record
    record = {**record, "outcome_id": f"out-000{record['outcome_id'][1]}"}
    return {**record, "action": "retract"} if record["outcome_id"] == "out-0004" else record


def _signed(record: Raw) -> Raw | None:
    user = record.get("attrs", {}).get("user")
    return record if user is None else {**record, "author": user}


def _scorers(run: Run) -> Found:
    rates = run.rows("SELECT source, rate FROM source_rates WHERE grain = '1d' ORDER BY source")
    return run.verdicts() | {"rates of sources": ", ".join(f"{source} {rate:.0%}" for source, rate in rates)}


def _of_sessions(record: Raw) -> Raw | None:
    """Outcomes name the session, not under the name of a call, and are about all its calls."""
    if record.get("call_id") == "s2":
        record = {name: value for name, value in record.items() if name != "call_id"} | {"session_id": "s2"}
    return {**record, "scope": "all"} if "outcome_id" in record else record


def _conversations(run: Run) -> Found:
    hints = sum(w["count"] for w in run.printed["warnings"] if w["kind"] == "session_ids")
    waiting = {name: run.printed[name] for name in ("outcomes", "waiting")}
    return _verdicts(run) | waiting | _hinted(hints)


def _hinted(outcomes: int) -> Found:
    return {_HINT: outcomes}


class _Fallback:
    """The failed record of a call becomes an attempt of the one that answered."""

    def __init__(self) -> None:
        self._failed: dict[str, Raw] = {}

    def __call__(self, record: Raw) -> Raw | None:
        if "model" not in record:
            return record
        if record.get("error"):
            kept = {name: record[name] for name in ("model", "config", "error", "latency_ms")}
            self._failed[record["call_id"]] = {"at": record["occurred_at"], "attempts": [kept]}
            return None
        failed = self._failed.get(record["call_id"])
        return record if failed is None else {**record, "occurred_at": failed["at"], "attempts": failed["attempts"]}


def _arms(run: Run) -> Found:
    arms = run.rows(
        "SELECT model, calls, successes, failures FROM rates WHERE grain = '1d' AND model IS NOT NULL ORDER BY ALL"
    )
    return {"calls, successes, failures": "; ".join(f"{m} {c} {s} {f}" for m, c, s, f in arms)}


STATEMENTS: Final = (
    Check(
        "16",
        'same_id = "revises"',
        {"verdicts": "failure 3", "dead letters": "none", "statements of a call": 2, "newest edition": 2},
        _editions,
        _REVISES,
    ),
    Check("16", "as it was sent", {"dead letters": "conflict 3", "name `same_id`": "3 of 3"}, _named("same_id")),
    Check(
        "18",
        "cleared under its own id, a score of 0 abstains",
        {"verdicts": "pending 5", "dead letters": "none"},
        _verdicts,
        _REVISES + "abstain = 0\n",
        _cleared,
    ),
    Check(
        "18",
        "as it was sent",
        {"dead letters": "no_verdict 2, out_of_range 1", "name `retract`": "3 of 3"},
        _named("retract"),
    ),
    Check(
        "20",
        "as it was sent: the last call of s1; no call is called s2",
        {"verdicts": "failure 1, pending 5", "dead letters": "none", "outcomes": 1, "waiting": 1} | _hinted(1),
        _conversations,
    ),
    Check(
        "20",
        "both by session_id, scope all",
        {"verdicts": "failure 3, success 3", "dead letters": "none", "outcomes": 2, "waiting": 0} | _hinted(0),
        _conversations,
        written=_of_sessions,
    ),
    Check(
        "22",
        "with author",
        {"verdicts": "failure 1", "dead letters": "none"},
        _verdicts,
        _FEEDBACK + 'combine = "majority"\n',
        _signed,
    ),
    Check(
        "24",
        "require all three",
        {"verdicts": "failure 3", "rates of sources": "groundedness 100%, relevance 100%, toxicity 0%"},
        _scorers,
        f"[verdict]\nrequire = [{', '.join(map(repr, _SCORERS))}]\n",
    ),
    Check(
        "26",
        "with attempts",
        {"calls, successes, failures": "backup 1 1 0; large 2 1 1", "dead letters": "none"},
        lambda run: _arms(run) | run.dead(),
        written=_Fallback(),
    ),
    Check("26", "as it was sent", {"dead letters": "conflict 1", "name `attempts`": "1 of 1"}, _named("attempts")),
)
