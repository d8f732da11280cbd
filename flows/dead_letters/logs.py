"""Reads dead letters from where the pipeline wrote them, and marks those whose records were sent again.

A log of dead letters is the topic of a service, or `dead_letters.jsonl` of a replay. A record of reason `redriven` in
it is a mark: `redriven_of` names the dead letter, and `origin` is where its record is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from pydantic import ValidationError
from typing_extensions import override

from aftercall.errors import UsageError, UserError
from aftercall.records import DeadLetter, FileOrigin, TopicOrigin, to_json
from connectors.files.single_lines import all_lines, append_lines
from connectors.kafka.read_again import read_topic
from connectors.kafka.send_again import Copy, send_copies
from flows.runtime.run_folder import OUTPUTS, read_run
from flows.settings import Settings

REDRIVEN: Final = "redriven"
"""The reason of a mark."""
FILE: Final = OUTPUTS[-1]


class LettersError(UserError):
    """Dead letters cannot be read, or not be marked. The message is one sentence for the user."""


class LoggedLetter(NamedTuple):
    """A dead letter in its log.

    Attributes:
        record: the dead letter.
        key: of the original record on Kafka; None where it had none, or in a file.
        at_us: when it was written, us since 1970 UTC; None in a file, which holds no such time.
        order: its place in the log: later ones are greater.
    """

    record: DeadLetter
    key: bytes | None
    at_us: int | None
    order: tuple[int, ...]


class Log(Protocol):
    """Where dead letters are.

    Attributes:
        name: the topic or file, for sentences.
        timed: whether its letters have `at_us`.
        outcome_files: files of outcomes, as origins name them; None where that is not known.
        mark_files: the same of marks.
    """

    name: str
    timed: bool
    outcome_files: frozenset[str] | None
    mark_files: frozenset[str]

    def letters(self) -> Iterator[LoggedLetter]:
        """All dead letters and marks, each time from the first; what is none is left out.

        Raises:
            UserError: they cannot be read.
        """

    def mark(self, marks: Sequence[LoggedLetter]) -> None:
        """Append marks, and return once they are durable.

        Raises:
            UserError: they cannot be written.
        """


class TopicLog(Log):
    """The topic of dead letters."""

    def __init__(self, settings: Settings) -> None:
        """`settings`: say which topic, and where."""
        self._cluster = settings.kafka.cluster()
        self.name, self.timed, self.outcome_files = settings.kafka.topics.dead_letters, True, None
        self.mark_files = frozenset()

    @override
    def letters(self) -> Iterator[LoggedLetter]:
        for sent in read_topic(self._cluster, self.name):
            if (record := _parsed(sent.value or b"")) is not None:
                yield LoggedLetter(record, sent.key, sent.at_us, (sent.at_us, sent.partition, sent.offset))

    @override
    def mark(self, marks: Sequence[LoggedLetter]) -> None:
        copies = [Copy(self.name, None, mark.key, to_json(mark.record), ()) for mark in marks]
        refused = next((landed.refused for landed in send_copies(self._cluster, copies) if landed.refused), "")
        if refused:
            raise LettersError(
                f"{self.name}: the broker must take a mark for each record that was sent again; {refused} (correct "
                "that, then give the same command again: records that were sent twice are duplicates)"
            )


class FileLog(Log):
    """`dead_letters.jsonl` of a replay that has ended."""

    def __init__(self, path: Path) -> None:
        """`path`: the file, or the folder of the replay.

        Raises:
            UsageError: there is no such file, as in the folder of a service.
            LettersError: the replay has not ended.
        """
        self._path = path / FILE if path.is_dir() else path
        if not self._path.is_file():
            raise UsageError(
                f"--from: must be {FILE} of a replay, or its folder; there is no file {self._path} (for the dead "
                "letters of a service give --config instead)"
            )
        self.name, self.timed, self.outcome_files = str(self._path), False, None
        self.mark_files = frozenset()
        state = self._path.parent / "state"
        if (state / "run.json").exists():
            run = read_run(state)
            if not run["finished"]:
                raise LettersError(
                    f"{self.name}: its replay must have ended; it has not (wait, or give its command again)"
                )
            self.outcome_files = frozenset(map(str, run["outcomes"]))
            self.mark_files = frozenset(map(str, run.get("marks", ())))

    @override
    def letters(self) -> Iterator[LoggedLetter]:
        try:
            for number, line in all_lines(self._path):
                if (record := _parsed(line)) is not None:
                    yield LoggedLetter(record, None, None, (number,))
        except OSError as wrong:
            raise LettersError(f"{self.name}: must be readable; {wrong.strerror} (check the file)") from None

    @override
    def mark(self, marks: Sequence[LoggedLetter]) -> None:
        try:
            append_lines(self._path, [to_json(mark.record) for mark in marks])
        except OSError as wrong:
            raise LettersError(
                f"{self.name}: must be writable, as records that were sent again are marked there; {wrong.strerror} "
                "(check its rights and the space on its disk)"
            ) from None


def open_log(settings: Settings, path: Path | None) -> Log:
    """The log of dead letters: the file where a path is given, else the topic.

    Raises:
        UsageError: neither a path nor a broker is given, or no file is there.
        LettersError: the replay of the file has not ended.
    """
    if path is not None:
        return FileLog(path)
    if "kafka" not in settings.model_fields_set:
        raise UsageError(
            "--config, --from: one of them must say where the dead letters are; neither does (give the settings of a "
            "service, with [kafka], or the folder of a replay)"
        )
    return TopicLog(settings)


def place_of(origin: TopicOrigin | FileOrigin | None) -> str:
    """Where a record is, in words; not escaped."""
    if origin is None:
        return "on no topic"
    if isinstance(origin, FileOrigin):
        return f"{origin.file}, line {origin.line}"
    return f"{origin.topic}/{origin.partition} at {origin.offset}"


def _parsed(data: bytes) -> DeadLetter | None:
    try:
        return DeadLetter.parse(data)
    except ValidationError:
        return None
