"""Creates the topics that are missing on Kafka: `aftercall topics create`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flows.cli.answers import print_json, print_sentence
from flows.cli.options import Config, Json

topics = typer.Typer(
    name="topics",
    help="Create the topics on Kafka.",
    short_help="Create the topics on Kafka.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@topics.callback()
def _topics() -> None:
    """Create the topics on Kafka."""


@topics.command(short_help="Create the topics that are missing.")
def create(
    *,
    config: Config = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=10_000,
            help="Partitions of new topics; by default 12, or as many as the other input topic has.",
        ),
    ] = None,
    replication: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=100, help="Brokers that hold each record; by default the broker decides."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Let the broker check the request, and create nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create those of the topics in use that are missing, with the cleanup policies they need.

    Existing topics are not changed; differences from what is needed are printed on standard error.
    """
    from connectors.kafka.topics import BROKERS_CHOICE, create_topics
    from flows.settings import load
    from flows.settings.topics import topics_in_use

    loaded = load(config)
    reports = create_topics(
        loaded.kafka.cluster(),
        topics_in_use(loaded.kafka, publish_checks=loaded.contracts.publish),
        partitions=partitions,
        replication=BROKERS_CHOICE if replication is None else replication,
        dry_run=dry_run,
    )
    if as_json:
        print_json({"topics": [report._asdict() for report in reports]})
        return
    for report in reports:
        settings = "".join(f", {key}={value}" for key, value in report.settings.items())
        sys.stdout.write(f"{report.topic}: {report.state}, {report.partitions} partitions{settings}\n")
        for sentence in report.differences:
            print_sentence(sentence)
