"""Settings come from one file, the environment and the command line, and what is wrong is reported in one sentence."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from flows.settings.for_models import join_rules, routing_settings
from flows.settings.loading import Settings, SettingsError, load
from models.join import JoinRules


def written(folder: Path, text: str) -> Path:
    path = folder / "aftercall.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(written(folder, text))
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_a_task_type_asks_of_routing_reaches_it(tmp_path: Path) -> None:
    file = tmp_path / "aftercall.toml"
    file.write_text(
        """
        [task.support]
        value = 2
        latency_weight = 0.1
        max_cost_usd = 0.5
        max_latency_ms = 900
        max_latency_p95_ms = 2000
        min_success_rate = 0.8
        allow = ["openai/*", "small/v1"]
        deny = ["*/beta-?"]
        segments = ["long", "short"]
        """
    )
    asked = routing_settings(load(file)).tasks["support"]
    numbers = (asked.value, asked.latency_weight, asked.max_cost_usd, asked.max_latency_ms, asked.max_latency_p95_ms)
    assert numbers == (2, 0.1, 0.5, 900, 2000)
    assert (asked.min_success_rate, asked.segments) == (0.8, ("long", "short"))
    served = {("openai/gpt-x", "v2"): True, ("openai/gpt-x", "beta-1"): False, ("small", "v1"): True}
    served |= {("small", "v2"): False, ("large", "v1"): False, ("openai/gpt-x", "beta-12"): True}
    assert {arm: asked.allows(arm) for arm in served} == served


def test_every_default_of_the_reference_stands_without_a_file() -> None:
    settings = load(None)
    assert settings.join.horizon == timedelta(days=30)
    assert settings.join.allowed_lateness == timedelta(hours=1)
    assert settings.join.orphan_wait == timedelta(hours=24)
    assert settings.join.max_future_skew == timedelta(minutes=5)
    assert settings.join.idle_after == timedelta(seconds=60)
    assert settings.join.max_groups == 100_000
    assert settings.verdict.precedence[0] == "human_review"
    assert settings.drift.false_alarms_per_1000_groups_per_week == 1.0
    assert settings.routing.valid_for == timedelta(hours=6)
    assert settings.snapshot.keep == 3
    assert settings.retention.calls is None
    assert settings.privacy.keep_payloads is False
    assert settings.kafka.topics.dead_letters == "agent.dead-letters"
    assert settings.recovery.epoch == timedelta(seconds=10)


def test_a_file_sets_every_section(tmp_path: Path) -> None:
    settings = load(
        written(
            tmp_path,
            """
            [join]
            horizon = "14d"
            [verdict]
            precedence = ["judge", "user_feedback"]
            [verdict.source.toxicity]
            fail_at = 0.5
            [verdict.source.judge]
            pass_at = 4
            [verdict.source.plain]
            [task.support]
            horizon = "48h"
            silence = "success"
            value = 1.5
            pinned = "openai/gpt-x/v2"
            segments = ["long_input"]
            [drift]
            warmup = "0s"
            [routing]
            floor = 0
            [snapshot]
            calls = "decided"
            [retention]
            hourly = "90d"
            [privacy]
            redact = ['\\d{16}']
            [kafka]
            brokers = "a:9092,b:9092"
            topics.calls = "my.calls"
            librdkafka = { "fetch.min.bytes" = 1000, "sasl.password" = "hush" }
            [recovery]
            epoch = "5s"
            """,
        )
    )
    assert settings.horizon("support") == timedelta(hours=48)
    assert settings.horizon("else") == timedelta(days=14)
    assert settings.longest_horizon == timedelta(days=14)
    assert settings.verdict.source["toxicity"].fail_at == 0.5
    assert settings.verdict.source["toxicity"].pass_at is None
    assert settings.verdict.source["plain"].pass_at == 0.7
    assert settings.task["support"].pinned_arm == ("openai/gpt-x", "v2")
    assert settings.kafka.topics.calls == "my.calls"
    assert settings.kafka.topics.outcomes == "agent.outcomes"
    assert settings.kafka.librdkafka["fetch.min.bytes"] == 1000


def test_the_command_line_overrides_the_environment_and_the_environment_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, '[join]\nhorizon = "1d"\norphan_wait = "2h"\nidle_after = "3s"')
    monkeypatch.setenv("AFTERCALL_JOIN__HORIZON", "2d")
    monkeypatch.setenv("AFTERCALL_JOIN__ORPHAN_WAIT", "4h")
    join = load(path, join={"horizon": "3d", "max_lead": None}).join
    assert (join.horizon, join.orphan_wait, join.idle_after) == (
        timedelta(days=3),
        timedelta(hours=4),
        timedelta(seconds=3),
    )


def test_the_environment_reaches_nested_keys_lists_and_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERCALL_TASK__SUPPORT__HORIZON", "5d")
    monkeypatch.setenv("AFTERCALL_TASK__SUPPORT__SEGMENTS", "a, b")
    monkeypatch.setenv("AFTERCALL_VERDICT__PRECEDENCE", '["judge"]')
    monkeypatch.setenv("AFTERCALL_KAFKA__TOPICS__CALLS", "c")
    monkeypatch.setenv("AFTERCALL_KAFKA__LIBRDKAFKA", '{"client.id": "x"}')
    monkeypatch.setenv("AFTERCALL_ROUTING__FLOOR", "0.02")
    settings = load()
    assert settings.task["support"].horizon == timedelta(days=5)
    assert settings.task["support"].segments == ["a", "b"]
    assert settings.verdict.precedence == ["judge"]
    assert settings.kafka.topics.calls == "c"
    assert settings.kafka.librdkafka == {"client.id": "x"}
    assert settings.routing.floor == 0.02


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[join]\nhorizn = "3d"', ["join.horizn is no setting", "did you mean horizon?"]),
        ("[jion]", ["jion is no setting", "did you mean join?"]),
        ("[task.support]\nhue = 1", ["task.support.hue is no setting", "horizon, silence"]),
        ('[join]\nhorizon = "3 days"', ["join.horizon", "a whole number and one of s, m, h, d", "'3 days'", "'30d'"]),
        ("[join]\nhorizon = 3", ["join.horizon must be, in quotes, a duration", "got 3 "]),
        ('[join]\nhorizon = "0s"', ["join.horizon must be longer than 0s"]),
        ("[join]\nmax_groups = 0", ["join.max_groups must be greater than or equal to 1; got 0", "100000"]),
        (
            '[join]\nsession_wait = "soon"',
            ["join.session_wait", "a whole number and one of s, m, h, d", "'soon'", "'5m'"],
        ),
        ("[join]\nmax_sessions = 3", ["join.max_sessions must be greater than or equal to 12; got 3", "5000000"]),
        ("[drift]\nfalse_alarms_per_1000_groups_per_week = 0", ["must be greater than 0; got 0"]),
        ("[drift]\nmargin = nan", ["drift.margin", "finite"]),
        ('[task.support]\nsilence = "success"', ["[task.support] sets silence without horizon"]),
        ('[task.support]\nsilence = "maybe"\nhorizon = "1d"', ["task.support.silence must be 'success' or 'failure'"]),
        ('[task.support]\npinned = "gpt"', ["task.support.pinned must be 'model/config'", "'gpt'"]),
        (
            '[task.a]\npinned = "large/v1"\ndeny = ["large/*"]',
            ["[task.a] pins 'large/v1', which 'large/*' denies", "correct one of its keys"],
        ),
        ('[task.a]\npinned = "large/v1"\nallow = ["small/*"]', ["[task.a] pins 'large/v1', which is not allowed"]),
        (
            '[task.a]\nallow = ["large/v1", "small/v1"]\ndeny = ["large/*"]',
            ["[task.a] allows 'large/v1' and denies it by 'large/*'"],
        ),
        ('[task.a]\nallow = ["large/*"]\ndeny = ["l*"]', ["[task.a] allows 'large/*' and denies it by 'l*'"]),
        ('[task.a]\ndeny = ["*"]', ["[task.a] denies every arm by '*'"]),
        ("[task.a]\nallow = []", ["task.a.allow must name at least one arm"]),
        ('[task.a]\nallow = ["large"]', ["task.a.allow must hold 'model/config'", "'large' is not"]),
        ("[task.a]\nmin_success_rate = 80", ["task.a.min_success_rate must be less than or equal to 1; got 80"]),
        ("[task.a]\nlatency_weight = 0.1", ["[task.a] sets latency_weight without value"]),
        ("[task.a]\nmax_latency_p95 = 1", ["task.a.max_latency_p95 is no setting", "did you mean max_latency_p95_ms?"]),
        ("[routing]\nfloor = -0.1", ["routing.floor must be greater than or equal to 0; got -0.1"]),
        ("[routing]\nfloor = 1.5", ["routing.floor must be less than or equal to 0.5; got 1.5"]),
        (
            '[routing]\nfloor = 0.4\n[task.a]\nallow = ["a/x", "b/x", "c/x", "d/*"]',
            ["routing.floor 0.4 must leave at most 1 to all arms together", "[task.a] allows 3, which is 1.2"],
        ),
        ("[verdict.source.call]\npass_at = 1", ["verdict.source.call", "'call'", "itself"]),
        ("[verdict.source.silence]", ["'silence'", "itself"]),
        ('[verdict]\nprecedence = ["judge", "call"]', ["verdict.precedence", "'call'"]),
        ('[verdict]\nprecedence = ["judge", "judge"]', ["verdict.precedence must name each once"]),
        ('[task.a]\nsegments = ["__other__"]', ["task.a.segments must not name '__other__'"]),
        (f"[task.a]\nsegments = {[f's{i}' for i in range(65)]}", ["task.a.segments must name at most 64", "65"]),
        ("[verdict.source.judge]\npass_at = 1\nfail_at = 2", ["[verdict.source.judge]", "both are set"]),
        ("[verdict.source.judge]\nscale = [5, 1]", ["[verdict.source.judge]", "scale", "[5, 1]", "correct"]),
        ("[verdict.source.judge]\nscale = [1, 5]\npass_at = 0.7", ["[verdict.source.judge]", "pass_at", "0.7"]),
        ("[verdict.source.judge]\nscale = [1, 5]\nfail_at = 6", ["[verdict.source.judge]", "fail_at", "6"]),
        ("[verdict.source.judge]\nscale = [1]", ["verdict.source.judge.scale", "correct"]),
        ('[routing]\nvalid_for = "1h"\nevery = "2h"', ["[routing] has valid_for shorter than every"]),
        ("[trust.weights]\naccuracy = 0.5", ["[trust.weights] must sum to 1", "they sum to 1.2"]),
        ("[trust.weights]\naccuracy = -0.1", ["trust.weights.accuracy must be greater than or equal to 0; got -0.1"]),
        ("[trust.weights]\nspeed = 0.1", ["trust.weights.speed is no setting", "accuracy, reliability"]),
        ('[trust]\nhalf_life = "30m"', ["trust.half_life must be at least 1h", "'30m'"]),
        ("[trust.tiers]\ngold = 1001", ["trust.tiers.gold must be less than or equal to 1000; got 1001"]),
        ('[snapshot]\ncalls = "some"', ["snapshot.calls must be 'all', 'decided' or 'none'; got 'some'"]),
        ('[privacy]\nredact = ["("]', ["privacy.redact must be a regular expression"]),
        ('[kafka.topics]\ncalls = "agent.outcomes"', ["[kafka.topics]", "'agent.outcomes' is there twice"]),
        ('[kafka.librdkafka]\n"group.id" = "g"', ["[kafka]", "set kafka.group_id instead"]),
        ("[kafka.librdkafka]\nacks = 1", ["[kafka] may not have acks under librdkafka", "all replicas"]),
        ('[kafka.librdkafka]\n"enable.auto.commit" = true', ["enable.auto.commit", "stored with the state"]),
        ('[kafka.librdkafka_files]\n"bootstrap.servers" = "f"', ["librdkafka_files", "set kafka.brokers instead"]),
        ('[kafka.librdkafka_files]\n"sasl.password" = ""', ["kafka.librdkafka_files", "at least 1 character"]),
        ("join = 3", ["join must be a table; got 3 (correct it or leave it out)"]),
        ("[join\n", ["must be TOML", "line 1"]),
    ],
)
def test_what_is_wrong_is_one_sentence_with_place_rule_value_and_remedy(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    sentence = refused(tmp_path, text)
    assert sentence.startswith(f"{tmp_path / 'aftercall.toml'}: ")
    for part in parts:
        assert part in sentence


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: the settings cannot be read: No such file"):
        load(tmp_path / "nowhere.toml")


def test_a_wrong_variable_is_named_as_such(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AFTERCALL_JOIN__HORIZON", "soon")
    with pytest.raises(SettingsError, match=r"^environment variable AFTERCALL_JOIN__HORIZON: join.horizon .*'soon'"):
        load(written(tmp_path, '[join]\nhorizon = "3d"'))


def test_the_variable_that_names_brokers_to_the_sdk_is_no_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERCALL_KAFKA", "localhost:9092")
    assert load().kafka == Settings().kafka
    monkeypatch.setenv("AFTERCALL_KAFKA", '{"brokers": "other:9092"}')
    assert load().kafka.brokers == "other:9092"


def test_a_variable_of_no_section_is_refused_and_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFTERCALL_CACHE", "x")
    assert load() == Settings()
    monkeypatch.setenv("AFTERCALL_JION__HORIZON", "3d")
    with pytest.raises(SettingsError, match="AFTERCALL_JION__HORIZON names no section"):
        load()


def test_a_wrong_command_line_value_is_named_as_such() -> None:
    with pytest.raises(SettingsError, match=r"^command line: join.horizon .*'x'"):
        load(join={"horizon": "x"})


def test_secrets_are_printed_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AFTERCALL_KAFKA__LIBRDKAFKA", '{"sasl.password": "hush", "ssl.key.pem": "hush", "linger.ms": 9}'
    )
    settings = load()
    assert settings.kafka.librdkafka["sasl.password"] == "hush"  # the client gets it
    for shown in (repr(settings), str(settings), json.dumps(settings.effective())):
        assert "hush" not in shown
    assert settings.effective()["kafka"]["librdkafka"]["linger.ms"] == 9
    monkeypatch.delenv("AFTERCALL_KAFKA__LIBRDKAFKA")
    assert "hush" not in refused(tmp_path, '[kafka.librdkafka]\n"sasl.password" = ["hush"]')
    assert "hush" not in refused(tmp_path, '[kafka]\nlibrdkafka = "hush"')
    assert "hush" not in refused(tmp_path, '[kafka.librdkafka]\n"sasl.password" = "hush"\n"group.id" = "g"')


def test_a_secret_may_stand_in_a_file_and_only_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[kafka.librdkafka]\n"sasl.username" = "u"\n[kafka.librdkafka_files]\n"sasl.password" = "/run/secrets/kafka"'
    settings = load(written(tmp_path, text))
    assert settings.kafka.cluster().librdkafka_files == {"sasl.password": "/run/secrets/kafka"}
    assert settings.effective()["kafka"]["librdkafka_files"] == {"sasl.password": "/run/secrets/kafka"}
    monkeypatch.setenv("AFTERCALL_KAFKA__LIBRDKAFKA_FILES", '{"ssl.key.pem": "/run/secrets/key"}')
    assert set(load(written(tmp_path, text)).kafka.librdkafka_files) == {"sasl.password", "ssl.key.pem"}
    monkeypatch.setenv("AFTERCALL_KAFKA__LIBRDKAFKA", '{"sasl.password": "hush"}')
    sentence = refused(tmp_path, text)
    assert "sasl.password under librdkafka and under librdkafka_files" in sentence
    assert "hush" not in sentence
    monkeypatch.setenv("AFTERCALL_KAFKA__LIBRDKAFKA", '{"sasl.password": "hush"')
    assert "hush" not in refused(tmp_path, text)


def test_deciding_settings_are_those_that_decide_verdicts_and_nothing_else(tmp_path: Path) -> None:
    plain = load().deciding()
    assert json.loads(json.dumps(plain)) == plain
    idle = (
        '[routing]\nfloor = 0.05\n[task.a]\nvalue = 2\n[join]\nmax_lead = "2h"\n[verdict.source.judge]\npass_at = 0.7'
    )
    assert load(written(tmp_path, idle)).deciding() == plain
    for text in (
        '[join]\nhorizon = "29d"',
        '[join]\nallowed_lateness = "2h"',
        '[join]\norphan_wait = "2h"',
        '[join]\nsession_wait = "1m"',
        '[verdict]\nprecedence = ["judge"]',
        "[verdict.source.judge]\npass_at = 0.8",
        "[verdict.source.judge]\nfail_at = 0.7",
        '[task.a]\nhorizon = "1d"',
    ):
        assert load(written(tmp_path, text)).deciding() != plain
    silent = load(written(tmp_path, '[task.a]\nhorizon = "1d"\nsilence = "success"')).deciding()
    assert silent["task"] == {"a": {"horizon": "24h", "silence": "success"}}


def test_effective_values_read_back_as_the_same_settings(tmp_path: Path) -> None:
    settings = load(written(tmp_path, '[task.a]\nhorizon = "36h"\n[verdict.source.tox]\nfail_at = 0.1'))
    assert load(**settings.effective()) == settings


def test_kafka_drops_old_rows_where_nothing_else_is_set(tmp_path: Path) -> None:
    kept = load(written(tmp_path, '[retention]\nhourly = "1d"')).retention.on_kafka()
    assert (kept.calls, kept.statements, kept.hourly) == (timedelta(days=30), timedelta(days=30), timedelta(days=1))


def test_rows_are_kept_for_as_long_as_their_table_sets_and_those_of_a_call_from_its_closing() -> None:
    settings = load(
        join={"horizon": "2d", "allowed_lateness": "1h"},
        retention={"calls": "3d", "dead_letters": "30d", "alerts": "90d"},
    )
    held = timedelta(days=2, hours=1)
    on_files = settings.forget_after(settings.retention)
    assert on_files == {
        "calls": timedelta(days=3) + held,
        "dead_letters": timedelta(days=30),
        "alerts": timedelta(days=90),
    }
    on_kafka = settings.forget_after(settings.retention.on_kafka())
    assert on_kafka == on_files | {"statements": timedelta(days=30) + held, "hourly": timedelta(days=90)}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('"gpt-4o-*" = "a"\n"gpt-*-mini" = "b"', ("'gpt-4o-*' = 'a'", "'gpt-*-mini' = 'b'", "match one name")),
        ('"gpt-*" = "a"\n"*-mini" = "b"', ("'gpt-*' = 'a'", "'*-mini' = 'b'", "match one name")),
        ('"gpt-?" = "a"\n"*" = "b"', ("'gpt-?' = 'a'", "'*' = 'b'", "match one name")),
        ('"a" = "x"\n" a" = "y"', ("'a' = 'x'", "' a' = 'y'", "match one name")),
        ('"a" = "b"\n"b" = "c"', ("'a' = 'b'", "alias of an alias", "let 'a' be 'c'")),
        ('"x-*" = "y-1"\n"y-*" = "z"', ("'x-*' = 'y-1'", "alias of an alias", "let 'x-*' be 'z'")),
        ('"a" = "*"', ("alias.model.a", "'*'")),
        ('"a" = " "', ("alias.model.a", "' '")),
        ('"a" = 5', ("alias.model.a", "5")),
    ],
)
def test_an_alias_that_is_not_clear_is_refused_with_file_key_value_and_remedy(
    tmp_path: Path, text: str, parts: tuple[str, ...]
) -> None:
    message = refused(tmp_path, f"[alias.model]\n{text}\n")
    for part in (str(tmp_path / "aftercall.toml"), "alias.model", "correct", *parts):
        assert part in message
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, f"[alias.model]\n{text}\n"))
    assert caught.value.exit_code == 2


def test_a_glob_may_match_the_name_that_counts_and_a_whole_name_may_be_in_it(tmp_path: Path) -> None:
    names = '"gpt-4o*" = "gpt-4o"\n"*/gpt-4o" = "gpt-4o"\n"gpt-4o-mini" = "gpt-4o-mini"\n'
    settings = load(written(tmp_path, f"[alias.model]\n{names}"))
    assert settings.alias.apart()["model"] == {"gpt-4o-mini"}


def test_aliases_decide_groups_and_without_any_a_run_is_as_it_was_before_there_were_any(tmp_path: Path) -> None:
    assert "alias" not in load(None).deciding()
    assert load(written(tmp_path, '[alias.task]\n"a" = "b"\n')).deciding()["alias"] == {"task": {"a": "b"}}


def test_a_scale_decides_verdicts_and_without_pass_at_a_success_begins_where_it_does_on_the_usual_one(
    tmp_path: Path,
) -> None:
    settings = load(written(tmp_path, "[verdict.source.a]\nscale = [1, 5]\n[verdict.source.b]\npass_at = 4\n"))
    assert settings.verdict.source["a"].least_success == pytest.approx(3.8)
    assert settings.deciding()["verdict"]["source"] == {
        "a": {"pass_at": None, "fail_at": None, "scale": [1.0, 5.0]},
        "b": {"pass_at": 4.0, "fail_at": None},
    }
    rules = join_rules(settings)
    assert rules.verdict.sources["a"].scale == (1.0, 5.0)
    assert JoinRules.from_state(rules.state()) == rules
