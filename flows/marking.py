"""Makes one mark, and puts it where the pipeline reads it: on its topic, or in a file for `replay --marks`."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import ValidationError

from aftercall.durations import format_duration
from aftercall.errors import UsageError, UserError
from aftercall.marks import Mark
from aftercall.records import FileOrigin, TopicOrigin
from aftercall.times import duration_us, format_time
from connectors.files.single_lines import append_lines
from connectors.kafka.cluster import hide_secrets
from flows.settings import Settings
from flows.settings.sections import Kafka

_OPTIONS = {"mark_id": "--id", "occurred_at": "--at", "task_type": "--task", "text": "--text"}


class MarkError(UserError):
    """A mark cannot be written. The message is one sentence for the user."""


def new_mark(at_us: int | None, task: str, text: str, mark_id: str | None, settings: Settings) -> Mark:
    """The mark that the options describe; `at_us` in µs, now where it is None.

    Raises:
        UsageError: the pipeline would refuse it.
    """
    now, skew = time.time_ns() // 1000, settings.join.max_future_skew
    at = now if at_us is None else at_us
    if at > now + duration_us(skew):
        raise UsageError(
            f"--at: must be no more than {format_duration(skew)} ahead of the clock (join.max_future_skew), or the "
            f"pipeline refuses it; got {format_time(at)} (mark a change once it is made)"
        )
    if not text:
        raise UsageError("--text: is required, and must not be empty (say what was changed)")
    fields = {"mark_id": mark_id, "occurred_at": format_time(at), "task_type": task, "text": text}
    try:
        return Mark.model_validate(fields)
    except ValidationError as wrong:
        error = wrong.errors(include_url=False)[0]
        option = _OPTIONS.get(str(error["loc"][0]) if error["loc"] else "", "--task")
        if error["type"] == "missing":
            raise UsageError(f"{option}: is required, and must not be empty (name it)") from None
        rule = error["msg"].removeprefix("String ").replace("should", "must")
        raise UsageError(f"{option}: {rule} (choose another)") from None


def append_mark(mark: Mark, path: Path) -> FileOrigin:
    """Append a mark to a file for `replay --marks`, and return where it is once it is on the disk.

    Raises:
        MarkError: the file cannot be written.
    """
    try:
        line = append_lines(path, [as_json(mark)])
    except OSError as wrong:
        raise MarkError(f"{path}: must be writable; {wrong.strerror} (choose another --file)") from None
    return FileOrigin(file=str(path), line=line)


def send_mark(mark: Mark, kafka: Kafka) -> TopicOrigin:
    """Send a mark to its topic, and return where it is once the broker has acknowledged it.

    Raises:
        KafkaConfigError: the client refuses its settings.
        KafkaFailure: no broker answers, or it refuses the client.
        MarkError: there is no such topic, or the broker refuses the record.
    """
    # Loaded here: who appends to a file needs no client of Kafka.
    from connectors.kafka.client import reach
    from connectors.kafka.send_again import Copy, send_copies

    topic, cluster = kafka.topics.marks, kafka.cluster()
    # Sent to a topic that is missing, a record might have the broker create it, with settings of its own.
    if reach(cluster, outputs=[topic]).missing:
        raise MarkError(
            f"kafka.topics.marks: the topic must exist on {hide_secrets(kafka.brokers)}; {topic} is missing (create it "
            "with `aftercall topics create`, or name another)"
        )
    (landed,) = send_copies(cluster, [Copy(topic, None, str(mark.mark_id).encode(), as_json(mark), ())])
    if landed.refused:
        raise MarkError(f"{topic}: the broker must take the mark; {landed.refused} (correct that, then repeat)")
    return TopicOrigin(topic=topic, partition=landed.partition, offset=landed.offset)


def as_json(mark: Mark) -> bytes:
    """A mark as a record."""
    return mark.model_dump_json(exclude={"type"}).encode()
