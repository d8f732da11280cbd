"""Sends records again: to the topics that they came from, or into files to replay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from typing_extensions import override

from aftercall.errors import UsageError
from aftercall.records import FileOrigin, TopicOrigin
from connectors.decode.decoder import CALL, MARK, OUTCOME
from connectors.files.single_lines import append_lines
from connectors.kafka.envelopes import REDRIVE
from connectors.kafka.send_again import Copy, send_copies
from flows.dead_letters.logs import LettersError, LoggedLetter
from flows.dead_letters.originals import Original
from flows.settings import Settings

FILES: Final = {CALL: "calls.jsonl", OUTCOME: "outcomes.jsonl", MARK: "marks.jsonl"}
"""The file of each kind of record."""


class Item(NamedTuple):
    """A record that can be sent again: its dead letter, what it is, and why it would be refused again, if it would."""

    letter: LoggedLetter
    original: Original
    kind: int
    refusal: str = ""


class Destination(Protocol):
    """Where records are sent."""

    def problem(self, letter: LoggedLetter) -> str:
        """Why the record of a dead letter cannot be sent there; empty if it can.

        Raises:
            UsageError: no record may be sent there.
        """

    def send(self, items: Sequence[Item]) -> list[TopicOrigin | FileOrigin | str]:
        """Send records, and return once they are durable: where each is, or why it was refused.

        Raises:
            UserError: they cannot be sent.
        """


class ToTopics(Destination):
    """The topics that the records came from."""

    def __init__(self, settings: Settings) -> None:
        """`settings`: say where they are."""
        self._cluster = settings.kafka.cluster()
        self._names = (settings.kafka.topics.calls, settings.kafka.topics.outcomes, settings.kafka.topics.marks)

    @override
    def problem(self, letter: LoggedLetter) -> str:
        origin = letter.record.origin
        if not isinstance(origin, TopicOrigin):
            return "it comes from a file (give --to DIR)"
        return "" if origin.topic in self._names else f"the pipeline does not read {origin.topic} (see kafka.topics)"

    @override
    def send(self, items: Sequence[Item]) -> list[TopicOrigin | FileOrigin | str]:
        copies = []
        for item in items:
            origin, original = item.letter.record.origin, item.original
            assert isinstance(origin, TopicOrigin)  # noqa: S101 - `problem` has refused the others
            kept = tuple(header for header in original.headers if header[0] != REDRIVE)
            headers = (*kept, (REDRIVE, item.letter.record.event_id.encode()))
            copies.append(Copy(origin.topic, origin.partition, original.key, original.value, headers))
        return [
            landed.refused or TopicOrigin(topic=copy.topic, partition=landed.partition, offset=landed.offset)
            for copy, landed in zip(copies, send_copies(self._cluster, copies), strict=True)
        ]


class IntoFiles(Destination):
    """A folder with a file of calls, one of outcomes and one of marks, to replay."""

    def __init__(self, folder: Path) -> None:
        """`folder`: created if it is absent.

        Raises:
            UsageError: it cannot be created.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as wrong:
            raise UsageError(f"--to: must be a folder; {folder}: {wrong.strerror} (choose another)") from None
        self._folder = folder
        self._resolved = {(folder / name).resolve() for name in FILES.values()}

    @override
    def problem(self, letter: LoggedLetter) -> str:
        origin = letter.record.origin
        if isinstance(origin, FileOrigin) and Path(origin.file).resolve() in self._resolved:
            raise UsageError(
                f"--to: must not hold the files that were replayed, as lines are appended; {origin.file} is one of "
                "them (choose another folder)"
            )
        return ""

    @override
    def send(self, items: Sequence[Item]) -> list[TopicOrigin | FileOrigin | str]:
        places: dict[int, TopicOrigin | FileOrigin | str] = {}
        for kind, name in FILES.items():
            numbers = [i for i, item in enumerate(items) if item.kind == kind]
            # Between the tokens of JSON a line end means as much as a blank, and within texts there is none.
            lines = [items[i].original.record.replace(b"\r", b" ").replace(b"\n", b" ") for i in numbers]
            if not numbers:
                continue
            path = self._folder / name
            try:
                first = append_lines(path, lines)
            except OSError as wrong:
                raise LettersError(
                    f"{path}: must be writable; {wrong.strerror} (choose another --to, then repeat the command)"
                ) from None
            places |= {i: FileOrigin(file=str(path), line=first + n) for n, i in enumerate(numbers)}
        return [places[i] for i in range(len(items))]
