"""Commands about Kafka: `aftercall topics create`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

topics = typer.Typer(
    name="topics",
    help="The topics on Kafka.",
    short_help="Make the topics on Kafka.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@topics.callback()
def _topics() -> None:
    """The topics on Kafka."""


@topics.command(short_help="Make those of the six topics that are missing.")
def create(
    *,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="aftercall.toml; keys also as AFTERCALL_SECTION__KEY."),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Of new topics; by default 12, or as the other input topic has."),
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=100, help="Brokers that hold each record; by default as the broker says.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Let the broker check it, and make nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Make those of the six topics that are missing, with the cleanup policies they need.

    Those that exist are left as they are; where they differ from what is needed, a line on standard error says so.
    """
    from connectors.kafka.topics import BROKERS_CHOICE, create_topics
    from flows.settings import load

    kafka = load(config).kafka
    reports = create_topics(
        kafka.cluster(),
        kafka.topics.model_dump(),
        partitions=partitions,
        replication=BROKERS_CHOICE if replication is None else replication,
        dry_run=dry_run,
    )
    if as_json:
        sys.stdout.write(json.dumps({"topics": [report._asdict() for report in reports]}, indent=2) + "\n")
        return
    for report in reports:
        settings = "".join(f", {key}={value}" for key, value in report.settings.items())
        sys.stdout.write(f"{report.topic}: {report.state}, {report.partitions} partitions{settings}\n")
        for sentence in report.differences:
            sys.stderr.write(f"aftercall: {sentence}\n")
