"""Words dead letters for people, in 80 columns: what records hold is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any, Final

from aftercall.printable import printable
from aftercall.records import DEAD_LETTER_REASONS
from aftercall.times import format_time
from flows.dead_letters.destinations import Item
from flows.dead_letters.logs import LoggedLetter, place_of
from flows.dead_letters.originals import Original
from flows.dead_letters.redrive import Plan
from flows.dead_letters.selection import Marks, Survey

_WIDTH: Final = 80
ID: Final = 12
"""Characters of an `event_id` in a list: `show` takes as few."""
_PAYLOAD: Final = 4_000
_LISTED: Final = 20
_HEAD: Final = 13


def list_lines(found: Survey, name: str) -> Iterator[str]:
    """How many there are of each reason, then the newest, a line each."""
    total = found.counts.total()
    yield _cut(f"{total:,} dead letter{'s' * (total != 1)} in {printable(name)}")
    examples = {letter.record.reason: letter.record.detail for letter in reversed(found.newest)}
    width = max(map(len, found.counts), default=0)
    for reason, count in _by_count(found.counts):
        example = printable(examples.get(reason) or DEAD_LETTER_REASONS.get(reason, ""))
        yield _cut(f"{count:>9,}  {printable(reason):{width}}  {example}")
    if found.newest:
        yield ""
    width = max((len(letter.record.reason) for letter in found.newest), default=0)
    for letter in found.newest:
        yield _line(letter, found.marks, width)
    if total > len(found.newest):
        yield f"and {total - len(found.newest):,} older ones (--limit N)"


def list_document(found: Survey) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "counts": dict(_by_count(found.counts)),
        "dead_letters": [_fields(letter, found.marks) for letter in found.newest],
    }


def show_lines(letter: LoggedLetter, marks: Marks, original: Original | str) -> Iterator[str]:
    """One dead letter, wholly but for the end of a long payload."""
    record = letter.record
    meaning = DEAD_LETTER_REASONS.get(record.reason)
    fields = _fields(letter, marks, original)
    yield from _field("event_id", record.event_id)
    yield from _field("reason", record.reason + (f": {meaning}" if meaning else ""))
    yield from _field("detail", record.detail)
    yield from _field("origin", place_of(record.origin))
    for name in ("written_at", "key", "redriven_of", "redriven_to"):
        if fields[name] is not None:
            yield from _field(name, str(fields[name]))
    yield from _field("size", f"{record.size:,} bytes")
    yield from _field("sha256", record.sha256)
    yield from _field("original", _availability(original))
    if record.payload is not None:
        text = printable(record.payload)
        yield "payload"
        yield from (text[at : at + _WIDTH] for at in range(0, min(len(text), _PAYLOAD), _WIDTH))
        if len(text) > _PAYLOAD:
            yield f"and {len(text) - _PAYLOAD:,} more characters (--json has them)"


def show_document(letter: LoggedLetter, marks: Marks, original: Original | str) -> dict[str, Any]:
    """The same for JSON."""
    source = original.source if isinstance(original, Original) else None
    return _fields(letter, marks, original) | {"original": source, "original_detail": _availability(original)}


def plan_lines(planned: Plan, *, force: bool) -> Iterator[str]:
    """What cannot be sent, and what would be refused again: before anything is sent."""
    if planned.again:
        fate = "sent all the same (--force)" if force else "not sent (--force sends them)"
        yield f"would be refused again, {fate}: {len(planned.again):,}"
        yield from _reasons([(item.letter, item.refusal) for item in planned.again])
    if planned.lost:
        yield f"cannot be sent: {len(planned.lost):,}"
        yield from _reasons(planned.lost)


def result_lines(sent: Sequence[Item], refused: Sequence[tuple[LoggedLetter, str]], *, dry: bool) -> Iterator[str]:
    """How many records were sent again, of which reasons."""
    verb = "would be sent again" if dry else "sent again"
    yield f"{verb}: {len(sent) - len(refused):,}"
    gone = {letter.record.event_id for letter, _ in refused}
    counts = Counter(item.letter.record.reason for item in sent if item.letter.record.event_id not in gone)
    for reason, count in _by_count(counts):
        yield _cut(f"{count:>9,}  {printable(reason)}")
    from_payload = sum(item.original.source == "payload" for item in sent)
    if from_payload:
        yield from wrap(
            f"{from_payload:,} of them from the payloads of their dead letters, as their places have them no more: "
            "without input and output, and without their headers",
            _WIDTH,
        )
    if refused:
        yield f"refused by the broker: {len(refused):,}"
        yield from _reasons(refused)


def _reasons(letters: Sequence[tuple[LoggedLetter, str]]) -> Iterator[str]:
    for letter, why in letters[:_LISTED]:
        head = f"  {letter.record.event_id[:ID]}  "
        yield from wrap(printable(why), _WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
    if len(letters) > _LISTED:
        yield f"  and {len(letters) - _LISTED:,} more"


def _line(letter: LoggedLetter, marks: Marks, width: int) -> str:
    record = letter.record
    time = "" if letter.at_us is None else f"{format_time(letter.at_us)[:16].replace('T', ' ')}  "
    head = f"{record.event_id[:ID]}  {time}{printable(record.reason):{width}}  "
    state = ""
    if record.event_id in marks.places:
        state = "  redriven"
    elif marks.redriven_of(record) is not None:
        state = "  refused again"
    return head + _cut(printable(place_of(record.origin)), _WIDTH - len(head) - len(state)) + state


def _fields(letter: LoggedLetter, marks: Marks, original: Original | str = "") -> dict[str, Any]:
    record = letter.record
    # A copy that was sent and not marked, as its command was killed in between, has its header alone.
    by_header = original.redriven_of if isinstance(original, Original) else None
    redriven_to = marks.places.get(record.event_id)
    return record.model_dump(mode="json") | {
        "key": None if letter.key is None else letter.key.decode(errors="replace"),
        "written_at": None if letter.at_us is None else format_time(letter.at_us),
        "redriven_of": marks.redriven_of(record) or by_header,
        "redriven_to": None if redriven_to is None else place_of(redriven_to),
    }


def _availability(original: Original | str) -> str:
    if isinstance(original, str):
        return f"cannot be sent again: {original}"
    if original.source == "origin":
        return "can be read where it was"
    return "is not where it was any more, but the payload is all of it, without input and output"


def _field(name: str, value: str) -> Iterator[str]:
    head = f"{name:{_HEAD}}"
    yield from wrap(printable(value), _WIDTH, initial_indent=head, subsequent_indent=" " * _HEAD) or [head.rstrip()]


def _by_count(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def _cut(text: str, width: int = _WIDTH) -> str:
    """The text, cut where it is too long."""
    return text if len(text) <= width else f"{text[: max(width - 3, 0)]}..."
