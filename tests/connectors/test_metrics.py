"""Every metric in one place: documented, named by Prometheus' rules, and exported with its labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aftercall import DEAD_LETTER_REASONS, __version__
from aftercall.times import NEVER
from connectors.metrics import DEFINITIONS, METRICS, Definition, Metrics

ROOT = Path(__file__).parents[2]


class Wheel:
    """A clock that stands still until it is turned."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    text = metrics.exposition()[0].decode()
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples}


def value(metrics: Metrics, name: str, *labels: str) -> float | None:
    return samples(metrics).get((name, labels))


def documented() -> Iterator[Definition]:
    for line in (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `aftercall_"):
            name, kind, labels, meaning, worry = (cell.strip() for cell in line.strip("|").split("|"))
            assert worry
            yield Definition(name.strip("`"), kind, tuple(re.findall(r"`(\w+)`", labels)), meaning)


def test_the_documentation_lists_every_metric_and_no_other_with_its_type_labels_and_meaning() -> None:
    assert list(documented()) == list(DEFINITIONS)


def test_names_stand_in_one_file_only() -> None:
    code = [path for room in ("connectors", "flows", "models", "sdk") for path in (ROOT / room).rglob("*.py")]
    others = [path for path in code if path != ROOT / "connectors" / "metrics.py"]
    for definition in DEFINITIONS:
        assert not [path for path in others if definition.name in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_names_follow_prometheus(definition: Definition) -> None:
    assert re.fullmatch(r"aftercall(_[a-z]+)+", definition.name)
    assert definition.name.endswith("_total") == (definition.type == "counter")
    assert not definition.name.endswith(("_created", "_count", "_sum", "_bucket", "_ms", "_minutes"))
    assert not {"call_id", "outcome_id", "session_id", "task_type", "model", "config"} & set(definition.labels)


def everything_counted(metrics: Metrics) -> None:
    metrics.process(1)
    metrics.health(lambda: True, lambda: 1.5)
    metrics.recovered(2.0)
    metrics.records("call", 3)
    metrics.attempts(1)
    metrics.completed(1)
    metrics.duplicates(1)
    metrics.dead_letters("late", 2)
    metrics.lag("agent.calls", 4, 500)
    metrics.paused("agent.calls", 4, paused=True)
    metrics.pause("ahead", lambda: True)
    metrics.broker_error("_TRANSPORT")
    metrics.watermark(1_000_000)
    metrics.pending(7, 8)
    metrics.texts({"texts_kept": 9, "texts_aged_out": 1}, 2_000)
    metrics.verdicts("success", 9)
    metrics.alert("opened", "success_rate")
    metrics.open_alerts(2)
    metrics.recommendation()
    metrics.outputs("agent.verdicts", 11)
    metrics.output_refused("agent.alerts", "MSG_SIZE_TOO_LARGE")
    metrics.state_bytes("join", "0001", 100)
    metrics.state_written("join", 13)
    metrics.epoch(10.0)
    metrics.snapshot(12, 0.5)


def test_every_metric_can_be_set_and_is_shown_under_its_labels() -> None:
    metrics = Metrics(Wheel(61.0), Wheel())
    everything_counted(metrics)
    shown = samples(metrics)
    names = {name for name, _ in shown}
    for definition in DEFINITIONS:
        assert (f"{definition.name}_count" if definition.type == "histogram" else definition.name) in names
    assert shown["aftercall_texts_total", ("kept",)] == 9
    assert shown["aftercall_texts_waiting_bytes", ()] == 2_000
    assert shown["aftercall_ready", ()] == 1
    assert shown["aftercall_heartbeat_age_seconds", ()] == 1.5
    assert shown["aftercall_records_total", ("call",)] == 3
    assert shown["aftercall_dead_letters_total", ("late",)] == 2
    assert shown["aftercall_consumer_lag_records", ("4", "agent.calls")] == 500
    assert shown["aftercall_partition_paused", ("4", "agent.calls")] == 1
    assert shown["aftercall_paused", ("ahead",)] == 1
    assert shown["aftercall_watermark_delay_seconds", ()] == 60
    assert shown["aftercall_outputs_refused_total", ("MSG_SIZE_TOO_LARGE", "agent.alerts")] == 1
    assert shown["aftercall_epoch_seconds_sum", ()] == 10
    assert any(labels[-1] == __version__ for name, labels in shown if name == "aftercall_build_info")


def test_counters_begin_at_zero_so_that_the_first_one_shows_as_an_increase() -> None:
    shown = samples(Metrics())
    for reason in DEAD_LETTER_REASONS:
        assert shown["aftercall_dead_letters_total", (reason,)] == 0
    assert shown["aftercall_records_total", ("outcome",)] == 0
    for name in ("attempts", "completed", "duplicates"):
        assert shown[f"aftercall_{name}_total", ()] == 0


def test_a_gauge_of_which_nothing_is_known_is_absent_rather_than_zero() -> None:
    metrics = Metrics()
    metrics.watermark(NEVER)
    assert value(metrics, "aftercall_watermark_delay_seconds") is None
    assert value(metrics, "aftercall_snapshot_version") is None


def test_ages_grow_between_scrapes_though_nothing_is_reported() -> None:
    wall, monotonic = Wheel(100.0), Wheel(5.0)
    metrics = Metrics(wall, monotonic)
    metrics.watermark(90_000_000)
    metrics.snapshot(1, 0.5)
    wall.now += 20
    monotonic.now += 20
    assert value(metrics, "aftercall_watermark_delay_seconds") == 30
    assert value(metrics, "aftercall_snapshot_age_seconds") == 20


def test_the_state_of_a_step_is_the_sum_over_its_keys() -> None:
    metrics = Metrics()
    metrics.state_bytes("join", "0001", 100)
    metrics.state_bytes("join", "0002", 50)
    metrics.state_bytes("join", "0001", 70)
    assert value(metrics, "aftercall_state_bytes", "join") == 120


def test_nothing_is_exported_about_when_a_series_was_created() -> None:
    metrics = Metrics()
    everything_counted(metrics)
    assert b"_created" not in metrics.exposition()[0]


def test_openmetrics_is_served_where_it_is_asked_for() -> None:
    text, content_type = Metrics().exposition("application/openmetrics-text;version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_the_metrics_of_the_process_are_one_set_apart_from_the_client_library_s_default() -> None:
    from prometheus_client import REGISTRY

    assert METRICS.registry is not REGISTRY
