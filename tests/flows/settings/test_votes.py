"""Settings of votes: whose later word counts, which scores say nothing, how authors are combined, who is required."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.settings.for_decoder import decoder_of
from flows.settings.for_models import drift_settings, join_rules
from flows.settings.loading import SettingsError, load
from models.join import JoinRules, SourceRule, TaskRules

SOURCE = "[verdict.source.judge]\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "aftercall.toml"
    path.write_text(text, encoding="utf-8")
    return path


def rule(folder: Path, text: str) -> SourceRule:
    return join_rules(load(written(folder, SOURCE + text))).verdict.sources["judge"]


def test_by_default_an_id_is_not_revised_no_score_abstains_the_newest_counts_and_no_source_is_required() -> None:
    rules = join_rules(load(None))
    assert (rules.verdict.sources, rules.verdict.require, rules.tasks) == ({}, (), {})
    assert SourceRule() == SourceRule(same_id="conflict", abstain=None, combine="newest")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('same_id = "revises"', SourceRule(same_id="revises")),
        ("abstain = 0.5", SourceRule(abstain=(0.5, 0.5))),
        ("abstain = [0.4, 0.6]", SourceRule(abstain=(0.4, 0.6))),
        ("abstain = 0\nscale = [-1, 1]\npass_at = 1", SourceRule(pass_at=1, scale=(-1, 1), abstain=(0, 0))),
        ("abstain = [1, 5]\nscale = [1, 10]\nfail_at = 6", SourceRule(fail_at=6, scale=(1, 10), abstain=(1, 5))),
        ("abstain = 0.8", SourceRule(abstain=(0.8, 0.8))),
        *((f'combine = "{how}"', SourceRule(combine=how)) for how in ("newest", "majority", "mean", "all", "any")),
    ],
)
def test_a_source_is_read_as_its_section_says(tmp_path: Path, text: str, expected: SourceRule) -> None:
    assert rule(tmp_path, text) == expected


def test_a_task_types_own_list_replaces_the_general_one_an_empty_one_too(tmp_path: Path) -> None:
    lists = '[verdict]\nrequire = ["safety"]\n[task.a]\nrequire = ["tone", "facts"]\n[task.b]\nrequire = []\n'
    rules = join_rules(load(written(tmp_path, lists + '[task.c]\nhorizon = "1d"\n[task.d]\nvalue = 1\n')))
    assert rules.verdict.require == ("safety",)
    assert {name: task.require for name, task in rules.tasks.items()} == {"a": ("tone", "facts"), "b": (), "c": None}
    assert rules.tasks["a"] == TaskRules(rules.horizon_us, require=("tone", "facts"))


def test_the_rules_come_back_from_the_state_as_they_were(tmp_path: Path) -> None:
    votes = 'same_id = "revises"\nabstain = 0.5\ncombine = "mean"\n[task.a]\nrequire = ["judge"]\n'
    rules = join_rules(load(written(tmp_path, SOURCE + votes)))
    assert JoinRules.from_state(rules.state()) == rules
    listed = rules.state()
    listed["verdict"]["sources"]["judge"]["abstain"] = [0.5, 0.5]
    listed["tasks"]["a"]["require"] = ["judge"]
    assert JoinRules.from_state(listed) == rules


def test_a_state_of_before_has_the_defaults() -> None:
    state = join_rules(load(verdict={"source": {"judge": {"pass_at": 0.8}}}, task={"a": {"horizon": "1d"}})).state()
    rules = JoinRules.from_state(state)
    for name in ("same_id", "abstain", "combine"):
        del state["verdict"]["sources"]["judge"][name]
    del state["verdict"]["require"], state["tasks"]["a"]["require"]
    assert JoinRules.from_state(state) == rules


def test_each_of_them_decides_verdicts_and_runs_of_before_go_on_without_them(tmp_path: Path) -> None:
    def deciding(text: str) -> dict[str, Any]:
        return load(written(tmp_path, text)).deciding()

    plain = deciding("")
    assert plain["verdict"].keys() == {"precedence", "source"}
    for default in ('same_id = "conflict"', 'combine = "newest"', "pass_at = 0.7"):
        assert deciding(SOURCE + default) == plain
    assert deciding(SOURCE + "fail_at = 0.2")["verdict"]["source"] == {"judge": {"pass_at": None, "fail_at": 0.2}}
    assert deciding(SOURCE + 'same_id = "revises"')["verdict"]["source"] == {
        "judge": {"pass_at": 0.7, "fail_at": None, "same_id": "revises"}
    }
    assert deciding(SOURCE + "abstain = 0.5")["verdict"]["source"]["judge"]["abstain"] == [0.5, 0.5]
    assert deciding(SOURCE + 'combine = "all"')["verdict"]["source"]["judge"]["combine"] == "all"
    assert deciding('[verdict]\nrequire = ["a"]')["verdict"]["require"] == ["a"]
    assert deciding("[task.a]\nrequire = []")["task"] == {"a": {"require": []}}
    assert deciding('[task.a]\nhorizon = "1d"')["task"] == {"a": {"horizon": "24h", "silence": None}}


REFUSED = [
    (SOURCE + 'same_id = "replaces"', ("verdict.source.judge.same_id", "'conflict' or 'revises'", "'replaces'")),
    (SOURCE + 'combine = "average"', ("verdict.source.judge.combine", "'majority'", "'average'")),
    (SOURCE + "abstain = [0.6, 0.4]", ("verdict.source.judge.abstain", "least score first", "[0.6, 0.4]")),
    (SOURCE + "abstain = [0.4]", ("verdict.source.judge.abstain", "range", "[0.4]")),
    (SOURCE + "abstain = true", ("verdict.source.judge.abstain", "range", "True")),
    (SOURCE + 'abstain = "neutral"', ("verdict.source.judge.abstain", "range", "'neutral'")),
    (SOURCE + "abstain = nan", ("verdict.source.judge.abstain", "finite")),
    (SOURCE + "abstain = [0.6, 0.8]", ("[verdict.source.judge]", "abstain", "pass_at", "0.7", "[0.6, 0.8]")),
    (SOURCE + "abstain = 0.7", ("[verdict.source.judge]", "abstain", "pass_at", "got 0.7")),
    (SOURCE + "abstain = [0.4, 0.5]\npass_at = 0.5", ("[verdict.source.judge]", "abstain", "pass_at", "[0.4, 0.5]")),
    (SOURCE + "abstain = [0.1, 0.3]\nfail_at = 0.2", ("[verdict.source.judge]", "abstain", "fail_at", "[0.1, 0.3]")),
    (SOURCE + "abstain = [3, 4]\nscale = [1, 5]", ("[verdict.source.judge]", "abstain", "pass_at", "3.8", "[3, 4]")),
    (SOURCE + "abstain = 0\nscale = [1, 5]", ("[verdict.source.judge]", "abstain", "from 1 to 5", "got 0")),
    ('[verdict]\nrequire = ["judge", "call"]', ("verdict.require", "'call'", "itself")),
    ('[task.a]\nrequire = ["silence"]', ("task.a.require", "'silence'", "itself")),
    ('[task.a]\nrequire = ["b", "b"]', ("task.a.require", "each once", "'b'")),
    ('[verdict]\nrequire = "judge, judge"', ("verdict.require", "each once", "'judge'")),
]


@pytest.mark.parametrize(("text", "parts"), REFUSED)
def test_what_contradicts_itself_is_refused_with_file_key_value_and_remedy(
    tmp_path: Path, text: str, parts: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, text))
    message = str(caught.value)
    for part in (str(tmp_path / "aftercall.toml"), "correct", *parts):
        assert part in message
    assert caught.value.exit_code == 2
    assert "\n" not in message


def test_variables_of_the_environment_reach_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "VERDICT__REQUIRE": "safety, tone", "TASK__A__REQUIRE": '["facts"]', "TASK__B__REQUIRE": "",
        "VERDICT__SOURCE__JUDGE__SAME_ID": "revises", "VERDICT__SOURCE__JUDGE__ABSTAIN": "[0.4, 0.6]",
        "VERDICT__SOURCE__STARS__ABSTAIN": "3", "VERDICT__SOURCE__STARS__SCALE": "[1, 5]",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"AFTERCALL_{name}", text)
    settings = load()
    assert settings.verdict.require == ["safety", "tone"]
    assert (settings.task["a"].require, settings.task["b"].require) == (["facts"], [])
    judge, stars = settings.verdict.source["judge"], settings.verdict.source["stars"]
    assert (judge.same_id, judge.abstain) == ("revises", (0.4, 0.6))
    assert (stars.scale, stars.abstain) == ((1, 5), (3, 3))
    assert load(**settings.effective()) == settings


def test_a_source_of_which_only_votes_are_set_is_still_one_without_a_scale(tmp_path: Path) -> None:
    """Else five stars of five would be silently read on a scale of 0 to 1 once its ids may be revised."""
    text = '[verdict.source.stars]\nsame_id = "revises"\n[verdict.source.judge]\npass_at = 0.7\n'
    decoder = decoder_of(load(written(tmp_path, text)), 0)
    assert decoder._score_bounds == {"judge": None}


def test_where_sources_are_required_silence_decides_nothing_and_no_warm_up_waits_for_it() -> None:
    task = {"a": {"horizon": "3h", "silence": "success"}}
    plain, required = load(task=task), load(task=task, verdict={"require": ["safety"]})
    assert [settings.silence("a") for settings in (plain, required)] == ["success", None]
    assert drift_settings(plain).unpromised_tasks == {"a"}
    assert drift_settings(required).unpromised_tasks == frozenset()
    warm_ups = [drift_settings(settings).warmup_by_task["a"] for settings in (plain, required)]
    assert warm_ups[0] - warm_ups[1] == plain.join.allowed_lateness.total_seconds() * 1e6
    freed = load(task={"a": {**task["a"], "require": []}}, verdict={"require": ["safety"]})
    assert freed.silence("a") == "success"
