"""Inputs as people have them, from ../shared/cases: what one record alone decides comes out right, or is explained."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cases.door import SCALES
from system.commands import aftercall, assert_one_sentence, call, counts, lines, outcome, table


def replayed(cases: Path, number: str, out: Path, settings: str = "") -> dict[str, Any]:
    """What `replay --json` prints of a case, under settings in TOML; skips where it is absent."""
    folder = next(iter(cases.glob(f"{number}-*")), None)
    if folder is None:
        pytest.skip(f"needs case {number} in ../shared/cases beside this checkout; it is not there")
    files = ("--calls", folder / "calls.jsonl", "--outcomes", folder / "outcomes.jsonl")
    (out / "aftercall.toml").write_text(settings, "utf-8")
    return counts(aftercall(out, "replay", *files, "--config", "aftercall.toml", "--out", out / "out", "--json"))


def test_empty_texts_are_absent_so_an_empty_error_is_no_failure(field_cases: Path, tmp_path: Path) -> None:
    found = replayed(field_cases, "12", tmp_path)
    verdicts = {name: found[name] for name in ("calls", "successes", "pending", "failures", "dead_letters")}
    assert verdicts == {"calls": 8, "successes": 5, "pending": 3, "failures": 0, "dead_letters": 0}
    rows = table(
        tmp_path / "out", "SELECT config, count(*), count(error), count(segment) FROM calls GROUP BY 1 ORDER BY 1"
    )
    assert rows == [("default", 2, 0, 0), ("v1", 6, 0, 0)]


def test_whole_floats_are_counts_and_what_else_pandas_writes_is_refused_with_a_remedy(
    field_cases: Path, tmp_path: Path
) -> None:
    found = replayed(field_cases, "30", tmp_path)
    assert found["calls"] == 10
    assert found["dead_letter_reasons"] == {"wrong_type": 5}
    details = table(tmp_path / "out", "SELECT DISTINCT detail FROM dead_letters")
    assert details == [("field 'success' should be a valid boolean; got 1.0 (`aftercall import` converts such files)",)]
    assert table(tmp_path / "out", "SELECT DISTINCT tokens FROM calls ORDER BY 1 NULLS FIRST") == [(None,), (812,)]


def test_a_call_is_not_lost_for_its_labels(tmp_path: Path) -> None:
    labels = {"tier": "gold", "nested": {"a": 1}, "long": "x" * 300}
    (tmp_path / "calls.jsonl").write_bytes(lines([call(0, attrs=labels), call(1, attrs=labels), call(2)]))
    done = aftercall(tmp_path, "replay", "--calls", "calls.jsonl", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "3 records = 3 calls" in done.stdout
    assert "warning: attrs of calls had labels that are nested or over 256 characters, first 'nested'" in done.stdout
    rows = table(tmp_path / "out", "SELECT kind, subject, count, first_at, last_at FROM pipeline_warnings")
    began = datetime(2025, 3, 1)  # noqa: DTZ001 - as DuckDB returns it
    assert rows == [("dropped_label", "calls", 4, began, began + timedelta(minutes=1))]
    assert table(tmp_path / "out", "SELECT DISTINCT attrs FROM calls WHERE attrs IS NOT NULL") == [('{"tier":"gold"}',)]


MODELS = "SELECT model, sum(calls)::BIGINT FROM current_rates WHERE span = '7d' GROUP BY 1 ORDER BY 2 DESC, 1"


def test_names_that_look_alike_are_one_and_those_that_differ_little_are_named(
    field_cases: Path, tmp_path: Path
) -> None:
    found = replayed(field_cases, "32", tmp_path)
    others = ("GPT-4o", "gpt-4o-2024-08-06", "gpt\u20114o", "openai/gpt-4o")
    names = sorted([(name, 10) for name in others], key=lambda row: row[0].encode())
    assert table(tmp_path / "out", MODELS) == [("gpt-4o", 30), *names]
    sent = table(tmp_path / "out", "SELECT DISTINCT attrs FROM calls WHERE attrs IS NOT NULL ORDER BY 1")
    assert [json.loads(attrs) for (attrs,) in sent] == [{"model_as_sent": f"gpt-4o{end}"} for end in (" ", "\u200b")]
    (warning,) = found["warnings"]
    assert (warning["kind"], warning["subject"], warning["count"]) == ("alike_names", "model gpt-4o", 4)
    assert '[alias.model] "GPT-4o" = "gpt-4o", "gpt-4o-2024-08-06" = "gpt-4o", ' in warning["detail"]


def test_seven_names_are_one_model_with_aliases(field_cases: Path, tmp_path: Path) -> None:
    names = ("GPT-4o", "gpt-4o-20*", "*/gpt-4o", "gpt\u20114o")
    aliases = "[alias.model]\n" + "".join(f'"{name}" = "gpt-4o"\n' for name in names)
    found = replayed(field_cases, "32", tmp_path, aliases)
    assert (table(tmp_path / "out", MODELS), found["warnings"]) == ([("gpt-4o", 70)], [])
    sent = "SELECT count(DISTINCT json_extract(attrs, '$.model_as_sent')), count(attrs) FROM calls"
    assert table(tmp_path / "out", sent) == [(6, 60)]


def test_aliases_are_changed_only_on_demand(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_bytes(lines([call(number) for number in range(3)]))
    begun = ("replay", "--calls", "calls.jsonl", "--out", "out", "--config", "aftercall.toml")
    (tmp_path / "aftercall.toml").write_text("", "utf-8")
    assert aftercall(tmp_path, *begun).returncode == 0
    (tmp_path / "aftercall.toml").write_text('[alias.model]\n"m-1" = "m-0"\n', "utf-8")
    assert_one_sentence(aftercall(tmp_path, *begun), 2, "alias was None", "'m-1': 'm-0'", "--accept-config-change")
    assert aftercall(tmp_path, *begun, "--accept-config-change").returncode == 0


def test_outcomes_that_spell_the_id_of_a_call_differently_are_named(field_cases: Path, tmp_path: Path) -> None:
    found = replayed(field_cases, "33", tmp_path)
    assert (found["successes"], found["waiting"], found["dead_letters"]) == (1, 7, 0)
    (warning,) = found["warnings"]
    assert (warning["kind"], warning["count"]) == ("alike_ids", 6)
    sentence = "6 waiting outcomes name a call whose id differs only by case, dashes or braces"
    assert warning["detail"].startswith(sentence)


def test_as_uuids_they_meet_their_calls(field_cases: Path, tmp_path: Path) -> None:
    found = replayed(field_cases, "33", tmp_path, 'join.id_form = "uuid"')
    assert (found["successes"], found["waiting"]) == (4, 4)
    (warning,) = found["warnings"]
    assert warning["count"] == 3
    assert "such as 'id-5' for 'ID-5'" in warning["detail"]


def test_ids_that_are_spelled_differently_are_counted_by_outcome_and_those_of_no_call_are_not(tmp_path: Path) -> None:
    spelled = [outcome(0, outcome_id=f"o{number}", call_id="CALL_0".replace("_", "-")) for number in range(3)]
    others = [outcome(1), outcome(2, call_id="call2"), outcome(3, call_id="nothing"), outcome(4, call_id="Call-5 ")]
    (tmp_path / "calls.jsonl").write_bytes(lines([call(number) for number in range(6)]))
    (tmp_path / "outcomes.jsonl").write_bytes(lines([*spelled, *others]))
    done = aftercall(tmp_path, "replay", "--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "warning: 5 waiting outcomes name a call whose id differs only by case, dashes or braces" in done.stdout
    assert "such as 'CALL-0' for 'call-0'" in done.stdout


def test_scores_on_another_scale_are_named_with_the_lines_that_settle_it(field_cases: Path, tmp_path: Path) -> None:
    warnings = replayed(field_cases, "14", tmp_path)["warnings"]
    assert [(warning["kind"], warning["subject"]) for warning in warnings] == [
        ("score_scale", name) for name in ("percent", "stars", "thumb")
    ]
    details = " ".join(warning["detail"] for warning in warnings)
    assert "[verdict.source.stars] scale = [1, 5], pass_at = 4" in details
    assert "[verdict.source.percent] scale = [0, 100], pass_at = 70" in details


def test_with_their_scales_one_star_is_a_failure_and_tables_show_what_was_sent(
    field_cases: Path, tmp_path: Path
) -> None:
    found = replayed(field_cases, "14", tmp_path, SCALES)
    assert found["warnings"] == []
    rows = table(
        tmp_path / "out", "SELECT source, success, list(score ORDER BY score) FROM statements GROUP BY ALL ORDER BY ALL"
    )
    assert rows == [
        ("percent", False, [5.0, 35.0, 69.0]),
        ("percent", True, [90.0]),
        ("stars", False, [1.0, 2.0, 3.0]),
        ("stars", True, [4.0, 5.0]),
        ("thumb", False, [-1.0, 0.0]),
        ("thumb", True, [1.0]),
    ]
    assert (found["successes"], found["failures"]) == (4, 8)
