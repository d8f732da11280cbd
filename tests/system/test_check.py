"""`aftercall check`: settings, sizes, and the broker where one is set."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from system.commands import aftercall, assert_one_sentence

pytestmark = pytest.mark.slow  # each starts processes


def test_what_check_prints_is_a_settings_file_with_the_same_settings(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(
        '[task."a b/c\\u007f"]\nhorizon = "36h"\nsegments = ["x", "ü\\u0007"]\n[verdict.source.tox]\nfail_at = 0.1\n'
        '[retention]\nhourly = "9d"\n[kafka.librdkafka]\n"linger.ms" = 9\n"log.queue" = true\n',
        encoding="utf-8",
    )
    first = aftercall(tmp_path, "check", "--config", "one.toml", "--no-broker")
    assert (first.returncode, first.stderr) == (0, "")
    assert tomllib.loads(first.stdout)["task"]["a b/c\x7f"]["segments"] == ["x", "ü\x07"]
    (tmp_path / "two.toml").write_text(first.stdout, encoding="utf-8")
    assert aftercall(tmp_path, "check", "--config", "two.toml", "--no-broker").stdout == first.stdout


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ('[kafka.librdkafka]\n"sasl.pasword" = "hush-1"', 'No such configuration property: "sasl.pasword"'),
        ('[kafka.librdkafka]\nacks = 1\n"sasl.password" = "hush-2"', "may not have acks under librdkafka"),
        ('[kafka.librdkafka_files]\n"sasl.password" = "nowhere"', "nowhere: No such file or directory"),
        ('[kafka.librdkafka]\n"security.protocol" = "SASL_SSL"\n"sasl.password" = "hush-3"', "must be set"),
    ],
)
def test_settings_for_kafka_that_cannot_be_used_are_found_without_a_broker(
    tmp_path: Path, settings: str, part: str
) -> None:
    (tmp_path / "aftercall.toml").write_text(settings, encoding="utf-8")
    done = aftercall(tmp_path, "check", "--config", "aftercall.toml", "--no-broker")
    assert_one_sentence(done, 2, part)
    assert "hush" not in done.stderr


@pytest.mark.slow
def test_check_reaches_the_broker_where_one_is_set_and_only_there(tmp_path: Path) -> None:
    done = aftercall(tmp_path, "check", AFTERCALL_KAFKA__BROKERS="localhost:1")
    assert done.returncode == 1
    assert 'brokers = "localhost:1"' in done.stdout
    assert re.fullmatch(
        r"aftercall: kafka.brokers: a broker of localhost:1 must answer [^\n]*refused[^\n]*\n", done.stderr
    )
    assert aftercall(tmp_path, "check", "--no-broker", AFTERCALL_KAFKA__BROKERS="localhost:1").returncode == 0
    assert aftercall(tmp_path, "check").returncode == 0


def test_sizes_are_printed_also_where_no_broker_answers_and_change_no_exit_code(tmp_path: Path) -> None:
    asked = aftercall(tmp_path, "check", "--calls-per-second", "1", AFTERCALL_KAFKA__BROKERS="localhost:1")
    assert asked.returncode == 1
    assert "2.6 M  291 MB" in asked.stdout
    alone = aftercall(tmp_path, "check", "--calls-per-second", "1")
    assert (alone.returncode, alone.stderr) == (0, "")
    assert "2.6 M  291 MB" in alone.stdout
    too_many = aftercall(tmp_path, "check", "--calls-per-second", "1e9")
    assert too_many.returncode == 0
    assert re.fullmatch(
        r"aftercall: --calls-per-second: held calls must fit [^\n]* 291 PB \([^()\n]+\)\n", too_many.stderr
    )


def test_sizes_are_comments_of_80_columns_below_the_settings(tmp_path: Path) -> None:
    (tmp_path / "aftercall.toml").write_text(
        f'[task."a\\u0007\\n b"]\nhorizon = "7d"\n[task.{"long" * 60}]\nhorizon = "90d"\n', encoding="utf-8"
    )
    check = ("check", "--config", "aftercall.toml")
    done = aftercall(tmp_path, *check, "--calls-per-second", "0.5")
    settings = aftercall(tmp_path, *check).stdout
    assert done.stdout.startswith(settings)
    sizes = done.stdout.removeprefix(settings).removeprefix("\n").splitlines()
    assert max(map(len, sizes)) <= 80
    assert {line[:2] for line in sizes} == {"# ", "#"}
    assert tomllib.loads(done.stdout) == tomllib.loads(settings)
    assert [line.split()[1] for line in sizes if line.endswith((r"  a\x07\n b", "...", "  all others"))] == [
        "90d",
        "30d",
        "7d",
    ]


def test_sizes_are_in_what_json_prints(tmp_path: Path) -> None:
    printed = json.loads(aftercall(tmp_path, "check", "--json", "--calls-per-second", "2.5").stdout)
    assert printed["sizing"]["calls_per_second"] == 2.5
    assert [size["calls_held"] for size in printed["sizing"]["horizons"]] == [2.5 * 3600 * (30 * 24 + 1)]
    assert "sizing" not in json.loads(aftercall(tmp_path, "check", "--json").stdout)
