"""Prints the tables of the benchmark, 80 columns wide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.product.stages import STAGES

WIDTH: Final = 80
Row = Mapping[str, Any]


def show(tables: Mapping[str, Any], figures: Mapping[str, float], console: Console) -> None:
    """Print what was measured, section by section, then the figures."""
    for name, rendered in _RENDERED.items():
        if name in tables:
            for table in rendered(tables[name]):
                console.print(table)
    for name, value in figures.items():
        console.print(f"{name}: [bold]{value:,.4g}[/bold]" if value < 1000 else f"{name}: [bold]{value:,.0f}[/bold]")


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _throughput(title: str, label: str) -> Callable[[list[Row]], list[Table]]:
    def rendered(rows: list[Row]) -> list[Table]:
        columns = (label.replace("_", " "), "records", "present", "all runs", "base", "x base", "same")
        return [_table(f"{title}: records per CPU second", columns, (_throughput_row(row, label) for row in rows))]

    return rendered


def _throughput_row(row: Row, label: str) -> tuple[str, ...]:
    least = min(run["per_cpu_second"] for run in row["runs"])
    spread = f"{least:,.0f} +" if len(row["runs"]) > 1 else ""
    if row.get("ratio") is None:
        compared = ("", "", "")
    else:
        compared = (f"{row['base']:,.0f}", f"{row['ratio']:.2f}", "yes" if row["same_counts"] else "no")
    name = row[label] if isinstance(row[label], str) else f"{row[label]:,}"
    return (name, f"{row['records']:,}", f"{row['present']:,.0f}", spread, *compared)


def _kinds(rows: list[Row]) -> list[Table]:
    columns = ("kind", "share", "records", "present", "all runs", "x plain", "x base")
    return [_table("replay, by kind of traffic: records per CPU second", columns, map(_kind_row, rows))]


def _kind_row(row: Row) -> tuple[str, ...]:
    name, records, present, spread, *_ = _throughput_row({**row, "kind": row["kind"] or "plain", "ratio": None}, "kind")
    over_base = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    return name, f"{row['share']:.0%}", records, present, spread, f"{row['over_plain']:.2f}", over_base


def _stages(measured: Mapping[str, Row]) -> list[Table]:
    columns = ("stage", *(f"{way}, {unit}" for way in measured for unit in ("ns", "share")))
    rows = [
        (stage, *(cell for way in measured.values() for cell in _stage_cells(way, way["ns"][stage])))
        for stage in STAGES
    ]
    sums: dict[str, Callable[[Row], float]] = {
        "sum without other": lambda way: sum(way["ns"].values()) - way["ns"]["other"],
        "whole": lambda way: way["whole_ns"],
        "whole, not timed": lambda way: way["plain_ns"],
    }
    for name, total in sums.items():
        rows.append((name, *(cell for way in measured.values() for cell in _stage_cells(way, total(way)))))
    return [_table("nanoseconds of CPU per record, by stage", columns, rows)]


def _stage_cells(way: Row, ns: float) -> tuple[str, str]:
    return f"{ns:,.0f}", f"{ns / way['whole_ns']:.1%}"


def _held(held: Row) -> list[Table]:
    rows = (
        (f"{row['held']:,}", f"{row['per_cpu_second']:,.0f}", f"{row['resume_s']:.2f}", f"{row['load_cpu_s']:.1f}")
        for row in held["rows"]
    )
    columns = ("held calls", "records per CPU s", "resume, s", "CPU s to read them")
    state = held["state"]
    windows = state["windows"]
    lines = (
        ("MB written per epoch", f"{state['mb_per_epoch']:,.1f}"),
        ("of it state, in segments and manifests", f"{state['state_mb_per_epoch']:,.1f}"),
        ("MB written in all, of it state, in segments and manifests", _written(windows["epochs"])),
        ("cores on epochs", f"{state['core_share']:.3f}"),
        ("longest epoch beyond its interval, s", f"{state['worst_epoch_s']:.2f}"),
        ("cores with epochs / without", f"{windows['epochs']['cores']:.3f} / {windows['none']['cores']:.3f}"),
        ("append to verdict, p50 / p99 / longest, s", _latencies(windows["epochs"])),
    )
    return [
        _table("with calls held, on Kafka", columns, rows),
        _table(f"at 1,000 records/s with {held['rows'][-1]['held']:,} calls held", ("", ""), lines),
    ]


def _written(window: Row) -> str:
    return f"{window['written_mb']:,.0f} / {window['state_mb']:,.0f}"


def _steady(window: Row) -> list[Table]:
    lines = (
        ("records/s sent", f"{window['sent_per_s']:,.0f}"),
        ("cores", f"{window['cores']:.3f}"),
        ("append to verdict, p50 / p99 / longest, s", _latencies(window)),
        ("verdicts timed", f"{window['latencies']:,}"),
    )
    return [_table("at a steady rate, on Kafka", ("", ""), lines)]


def _latencies(window: Row) -> str:
    return f"{window['p50_s']:.2f} / {window['p99_s']:.2f} / {window['max_s']:.2f}"


_RENDERED: Final[Mapping[str, Callable[[Any], list[Table]]]] = {
    "kafka": _throughput("on Kafka", "statements"),
    "replay": _throughput("replay", "traffic"),
    "kinds": _kinds,
    "stages": _stages,
    "groups": _throughput("on Kafka, by groups", "groups"),
    "processes": _throughput("on Kafka, by processes", "processes"),
    "steady": _steady,
    "held": _held,
}
