"""Cases that one record alone decides: empty texts, scales, types, names, ids."""

from __future__ import annotations

from typing import Final

from benchmarks.cases.running import Check, Found, Run, counted

SCALES: Final = """
[verdict.source.stars]
scale = [1, 5]
pass_at = 4
[verdict.source.percent]
scale = [0, 100]
pass_at = 70
[verdict.source.thumb]
scale = [-1, 1]
pass_at = 1
"""
_ALIASES: Final = """
[alias.model]
"GPT-4o" = "gpt-4o"
"gpt-4o-20*" = "gpt-4o"
"*/gpt-4o" = "gpt-4o"
"gpt\u20114o" = "gpt-4o"
"""


def _empty(run: Run) -> Found:
    configs = run.rows("SELECT config FROM calls")
    return run.verdicts() | run.dead() | {"configs": counted(config for (config,) in configs)}


def _scales(run: Run) -> Found:
    warned = [w for w in run.printed["warnings"] if w["kind"] == "score_scale"]
    lines = all("scale = [" in w["detail"] and "pass_at = " in w["detail"] for w in warned)
    return {"warned of": ", ".join(w["subject"] for w in warned) or "nothing", "with the lines that settle it": lines}


def _by_source(run: Run) -> Found:
    rows = run.rows("SELECT source, count(*) FILTER (success), count(*) FROM statements GROUP BY ALL ORDER BY ALL")
    warned = len(run.printed["warnings"])
    return {"successes": ", ".join(f"{source} {good} of {n}" for source, good, n in rows), "warnings": warned}


def _counts(run: Run) -> Found:
    ((remedies,),) = run.rows("SELECT count(*) FROM dead_letters WHERE detail LIKE '%aftercall import%'")
    tokens = run.rows("SELECT DISTINCT tokens FROM calls WHERE tokens IS NOT NULL")
    names = {"calls": run.printed["calls"], "tokens": ", ".join(str(count) for (count,) in tokens) or "none"}
    return names | run.dead() | {"name `aftercall import`": remedies}


def _models(run: Run) -> Found:
    ((models,),) = run.rows("SELECT count(DISTINCT model) FROM calls")
    return {"models": models, "warnings": counted(w["kind"] for w in run.printed["warnings"])}


def _ids(run: Run) -> Found:
    alike = [w["count"] for w in run.printed["warnings"] if w["kind"] == "alike_ids"]
    return {"joined": run.printed["successes"], "waiting": run.printed["waiting"], "of these alike": sum(alike)}


DOOR: Final = (
    Check(
        "12",
        "as it was sent",
        {"verdicts": "pending 3, success 5", "dead letters": "none", "configs": "default 2, v1 6"},
        _empty,
    ),
    Check(
        "14", "as it was sent", {"warned of": "percent, stars, thumb", "with the lines that settle it": True}, _scales
    ),
    Check(
        "14",
        "with its scales",
        {"successes": "percent 1 of 4, stars 2 of 5, thumb 1 of 3", "warnings": 0},
        _by_source,
        SCALES,
    ),
    Check(
        "30",
        "as it was sent",
        {"calls": 10, "tokens": "812", "dead letters": "wrong_type 5", "name `aftercall import`": 5},
        _counts,
    ),
    Check("32", "as it was sent", {"models": 5, "warnings": "alike_names 1"}, _models),
    Check("32", "with [alias.model]", {"models": 1, "warnings": "none"}, _models, _ALIASES),
    Check("33", "as it was sent", {"joined": 1, "waiting": 7, "of these alike": 6}, _ids),
    Check(
        "33",
        'id_form = "uuid"',
        {"joined": 4, "waiting": 4, "of these alike": 3},
        _ids,
        'join.id_form = "uuid"\n',
    ),
)
