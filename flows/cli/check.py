"""Prints the settings as TOML, sizes on request, and what the broker lacks: `aftercall check`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from aftercall.errors import ExitCode
from aftercall.printable import printable_json
from flows.cli.answers import print_json, print_sentence
from flows.cli.options import Config, Json, per_second, snapshot_file
from flows.cli.sizes import as_plain, as_table, memory_excess, physical_memory
from flows.reports.sizing import Sizing, sizing
from flows.settings import Settings, load
from flows.settings.sections import Kafka
from flows.settings.topics import topics_in_use
from flows.settings.watched import unseen

MASK = "***"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def check(
    *,
    config: Config = None,
    broker: Annotated[
        bool | None,
        typer.Option("--broker/--no-broker", help="Connect to the broker; by default only if [kafka] is set."),
    ] = None,
    calls_per_second: Annotated[
        str | None,
        typer.Option(metavar="N", help="Print calls held, memory, disk and resume time at this mean rate of calls."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the settings, print every value in force as TOML, and check that the broker has what `run` needs."""
    rate = None if calls_per_second is None else per_second(calls_per_second, "--calls-per-second")
    settings = load(config)
    configured = "kafka" in settings.model_fields_set
    if configured:
        from connectors.kafka.client import try_settings

        try_settings(settings.kafka.cluster())
    sizes = None if rate is None else estimate(settings, rate)
    if not as_json:
        sys.stdout.write(printable_json(as_toml(settings.effective())))
        if sizes is not None:
            sys.stdout.write(f"\n{as_table(sizes)}")
        sys.stdout.flush()
    for sentence in _unseen_sources(settings):
        print_sentence(sentence)
    excess = None if sizes is None else memory_excess(sizes, physical_memory())
    if excess is not None:
        print_sentence(excess)
    asking = configured if broker is None else broker
    findings = ask_broker(settings.kafka, publish_checks=settings.contracts.publish) if asking else []
    if as_json:
        asked = {"broker": [finding._asdict() for finding in findings]} if asking else {}
        sized = {} if sizes is None else {"sizing": as_plain(sizes)}
        print_json(settings.effective() | sized | asked)
    for finding in findings:
        if finding.level != "ok":
            print_sentence(finding.sentence)
        elif not as_json:
            sys.stdout.write(f"# {finding.sentence}\n")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(ExitCode.NO)


def estimate(settings: Settings, calls_per_second: float) -> Sizing:
    """Estimate what held calls take under these settings, at this mean rate of all task types together."""
    return sizing(
        calls_per_second,
        horizon=settings.join.horizon,
        task_horizons={name: task.horizon for name, task in settings.task.items() if task.horizon is not None},
        allowed_lateness=settings.join.allowed_lateness,
        epoch=settings.recovery.epoch,
    )


def _unseen_sources(settings: Settings) -> list[str]:
    """Sources that are to be watched and have said nothing, as far as the newest snapshot of the service knows."""
    snapshot = snapshot_file(Path(settings.service.folder))
    if not settings.drift.sources or not snapshot.exists():
        return []
    from flows.reports.snapshot_reader import InsightError, sources_in

    try:
        seen = sources_in(snapshot)
    except InsightError:  # what is wrong with a snapshot is not what was asked
        return []
    return list(unseen(settings.drift.sources, seen).values())


def as_toml(effective: Mapping[str, Any]) -> str:
    """All settings as TOML that can be read back; values that are not set or masked are in comments.

    >>> print(as_toml({"a": {"b": 1, "c": None, "d": {"e.f": "***"}}}), end="")
    [a]
    b = 1
    # c is not set
    <BLANKLINE>
    [a.d]
    # "e.f" is set, and not shown
    """
    tables = _tables((), effective)
    return "\n".join("\n".join([*head, *lines]) + "\n" for head, lines in tables if lines)


class Finding(NamedTuple):
    """One line about the broker, with its severity."""

    level: Literal["ok", "warning", "error"]
    sentence: str


def ask_broker(kafka: Kafka, timeout_s: float = 15.0, *, publish_checks: bool = False) -> list[Finding]:
    """Connect to the broker, and check that it has what `aftercall run` needs. Writes nothing.

    Args:
        kafka: the settings.
        timeout_s: how long to wait for a broker.
        publish_checks: whether the topic of violations is needed.

    Raises:
        KafkaConfigError: the client refuses its settings.
        KafkaFailure: no broker answers within `timeout_s`, or it refuses the credentials.
    """
    from connectors.kafka.client import admin_config, open_admin, reach
    from connectors.kafka.topics import CLAIMS, INPUTS, MARKS, NO_TRUST, SCORES, differences

    cluster, names = kafka.cluster(), topics_in_use(kafka, publish_checks=publish_checks)
    inputs = [name for key, name in names.items() if key in {*INPUTS, MARKS, CLAIMS}]
    outputs = [name for key, name in names.items() if key not in {*INPUTS, MARKS}]
    reached = reach(cluster, inputs=inputs, outputs=outputs, timeout_s=timeout_s, rights=True)
    findings = [Finding("ok", f"kafka: reached {reached.brokers} broker(s) of cluster {reached.cluster_id}")]
    differing = differences(open_admin(admin_config(cluster)), names, reached.partitions)
    forbidden = dict(reached.forbidden)
    for key, name in names.items():
        if key == CLAIMS:
            findings += _about_claims(kafka, name in reached.missing, forbidden.get(name))
        elif key == MARKS and name in reached.missing:
            absent = "is missing or hidden, so that no marks are read (create it with `aftercall topics create`)"
            findings.append(Finding("warning", f"{name}: {absent}"))
        elif key == SCORES and name in reached.missing:
            findings.append(Finding("warning", f"{name}: {NO_TRUST}"))
        elif name in reached.missing:
            findings.append(
                Finding(
                    "error",
                    f"kafka.topics.{key}: the topic must exist, and this user must be allowed to see it; {name} is "
                    "missing or hidden (create it with `aftercall topics create`, or name another)",
                )
            )
        elif name in forbidden:
            findings.append(
                Finding("error", f"{name}: this user must be allowed to {forbidden[name]} it; it is not (grant it)")
            )
        else:
            findings.append(Finding("ok", f"{name}: {reached.partitions[name]} partitions"))
        findings += [Finding("warning", sentence) for sentence in differing.get(name, ())]
    findings += _about_partitions({names[key]: reached.partitions.get(names[key]) for key in INPUTS})
    if set(reached.missing) <= {names[MARKS], names[SCORES]}:
        # Another user may be the one to redrive.
        lacking = reach(cluster, inputs=[names["dead_letters"]], outputs=inputs, timeout_s=timeout_s, rights=True)
        findings += [
            Finding("ok", f"{name}: this user may not {right} it, as `aftercall dead-letters redrive` does")
            for name, right in lacking.forbidden
        ]
    return findings


def _about_partitions(counts: Mapping[str, int | None]) -> list[Finding]:
    """What concerns the numbers of partitions of calls and outcomes; None where a topic is missing."""
    if None in counts.values() or len(set(counts.values())) == 1:
        return []
    shown = " and ".join(f"{name} {count}" for name, count in counts.items())
    rule = "must have as many partitions as each other, so that the records of a call share one"
    return [Finding("warning", f"{' and '.join(counts)}: {rule}; {shown} (add partitions to the one with fewer)")]


def _about_claims(kafka: Kafka, is_missing: bool, forbidden: str | None) -> list[Finding]:  # noqa: FBT001 - a finding
    """What concerns the topic of claims, without which a service runs all the same."""
    from connectors.kafka.claim_writer import missing_right
    from connectors.kafka.topics import unwatched_clock

    name, cluster = kafka.topics.claims, kafka.cluster()
    if is_missing:
        lacking: str | None = "is missing or hidden (`aftercall topics create` makes it, and `run` where it may)"
    elif forbidden:
        lacking = f"this user must be allowed to {forbidden} it; it is not (grant it)"
    else:
        lacking = missing_right(cluster)
    findings = [Finding("ok", f"{name}: claims can be made")]
    if lacking is not None:
        harm = "without claims, two services on the same topics do not notice each other"
        findings = [Finding("warning", f"{name}: {lacking}; {harm}")]
    shown = [name] if lacking is None else []
    clock = unwatched_clock(cluster, [*shown, kafka.topics.calls, kafka.topics.outcomes])
    return findings if clock is None else [*findings, Finding("warning", clock)]


def _tables(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[tuple[list[str], list[str]]]:
    """Heading and lines of a table, then those of the tables within it."""
    heading = [f"[{'.'.join(map(_key, path))}]"] if path else []
    yield heading, [_line(key, value) for key, value in table.items() if not isinstance(value, Mapping)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _tables((*path, key), value)


def _line(key: str, value: Any) -> str:
    if value is None:
        return f"# {_key(key)} is not set"
    if value == MASK:
        return f"# {_key(key)} is set, and not shown"
    return f"{_key(key)} = {_text(value)}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        parts = (f"{_key(key)} = {_text(part)}" for key, part in value.items() if part is not None)
        return f"{{{', '.join(parts)}}}"
    # JSON's strings, numbers, booleans and lists are valid TOML, except for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
