"""Finds the records that dead letters are about: where they were, or else in the dead letters themselves."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple

from aftercall.events import MAX_RECORD_BYTES
from aftercall.records import DeadLetter, FileOrigin, TopicOrigin
from connectors.dead_letters import letter_key, whole_payload
from connectors.files.single_lines import read_lines
from connectors.files.unpacking import InputError, Unpacking
from connectors.kafka.envelopes import payload, redriven_of
from connectors.kafka.read_again import Headers, read_at
from flows.dead_letters.logs import LoggedLetter, place_of
from flows.settings import Settings

_NEVER_READ: Final = {
    "refused_output": "it was written by the pipeline, not by a producer",
    "erased": "its call was erased",
}


class Original(NamedTuple):
    """A record that was refused.

    Attributes:
        record: its JSON.
        value: the same as it was on the topic, where it may have an envelope.
        key: its key there.
        headers: its headers there.
        source: `origin` if it was read from where it was, `payload` if from its dead letter.
    """

    record: bytes
    value: bytes
    key: bytes | None
    headers: Headers
    source: Literal["origin", "payload"]

    @property
    def redriven_of(self) -> str | None:
        """The `event_id` of the dead letter that it was sent again for, by its header."""
        return redriven_of(list(self.headers))


def originals(letters: Sequence[LoggedLetter], settings: Settings) -> dict[str, Original | str]:
    """By `event_id` the original of each dead letter, or why it cannot be had.

    Raises:
        UserError: the broker is away, or refuses.
    """
    found: dict[str, Original | str] = {}
    lost: dict[str, str] = {}
    sought = []
    for letter in letters:
        record = letter.record
        if record.reason in _NEVER_READ:
            found[record.event_id] = _NEVER_READ[record.reason]
        elif record.size > MAX_RECORD_BYTES:
            found[record.event_id] = f"it has {record.size:,} bytes, and a record may have {MAX_RECORD_BYTES:,}"
        else:
            sought.append(letter)
    if "kafka" not in settings.model_fields_set:
        lost |= {letter.record.event_id: "no broker is set" for letter in sought}
    for letter, original in (*_on_topics(sought, settings), *_in_files(sought, settings)):
        event_id = letter.record.event_id
        if isinstance(original, Original) and sha256(original.record).hexdigest() == letter.record.sha256:
            found[event_id] = original
        else:
            lost[event_id] = original if isinstance(original, str) else "another record is there now"
    for letter in sought:
        if letter.record.event_id not in found:
            why = lost.get(letter.record.event_id, "it is not there any more")
            found[letter.record.event_id] = _from_payload(letter, why)
    return found


def _on_topics(letters: Sequence[LoggedLetter], settings: Settings) -> Iterator[tuple[LoggedLetter, Original]]:
    if "kafka" not in settings.model_fields_set:
        return
    by_place: dict[tuple[str, int], dict[int, list[LoggedLetter]]] = defaultdict(lambda: defaultdict(list))
    for letter in letters:
        origin = letter.record.origin
        if isinstance(origin, TopicOrigin):
            by_place[origin.topic, origin.partition][origin.offset].append(letter)
    for sent in read_at(settings.kafka.cluster(), by_place):
        value = sent.value or b""
        original = Original(payload(value, list(sent.headers)), value, sent.key, sent.headers, "origin")
        for letter in by_place[sent.topic, sent.partition][sent.offset]:
            yield letter, original


def _in_files(letters: Sequence[LoggedLetter], settings: Settings) -> Iterator[tuple[LoggedLetter, Original | str]]:
    by_file: dict[str, dict[int, list[LoggedLetter]]] = defaultdict(lambda: defaultdict(list))
    for letter in letters:
        origin = letter.record.origin
        if isinstance(origin, FileOrigin):
            by_file[origin.file][origin.line].append(letter)
    with tempfile.TemporaryDirectory() as spool:
        unpacking = Unpacking(Path(spool), settings.limits.unpacked)
        for file, by_line in by_file.items():
            try:
                for number, line in read_lines(unpacking, Path(file), by_line):
                    for letter in by_line[number]:
                        yield letter, Original(line, line, None, (), "origin")
            except InputError as wrong:
                for letter in (each for lines in by_line.values() for each in lines):
                    yield letter, str(wrong).partition(" (")[0]


def _from_payload(letter: LoggedLetter, why: str) -> Original | str:
    record = letter.record
    data = whole_payload(record.payload, record.sha256)
    if data is None:
        return f"{place_of(record.origin)}: {why}, and {_lacking(record)}"
    key = letter.key if letter.key is not None else letter_key(data).encode()
    return Original(data, data, key or None, (), "payload")


def _lacking(record: DeadLetter) -> str:
    if record.payload is None:
        return "its dead letter has no payload"
    return "the payload of its dead letter is not all of it: cut off, redacted, or not JSON"
