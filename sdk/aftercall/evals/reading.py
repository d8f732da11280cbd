"""Reads cases from JSON lines, and from CSV as sheets export it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from aftercall.evals.case import MAX_CASE_ID, DatasetError, EvalCase, distinct

_ALSO: Final[dict[str, tuple[str, ...]]] = {
    "input": ("question", "prompt"),
    "expected": ("answer", "expected_output", "target"),
}
"""Names under which sheets have these fields."""
_OWN: Final = ("id", "input", "expected", "checks", "tags", "metadata")
_SHORT: Final = ("exact", "equals", "contains", "icontains", "not_contains", "regex", "json")
"""Checks that may be written as one text, such as `contains: 30 days`."""


def read_cases(path: Path) -> tuple[EvalCase, ...]:
    """The cases of a file that ends in `.jsonl`, `.ndjson`, `.csv` or `.tsv`, each with an id of its own.

    Raises:
        DatasetError: the file cannot be read, has no case, or one is wrong: file, line, rule, value, remedy.
    """
    rows = _READERS.get(path.suffix.lower())
    if rows is None:
        raise DatasetError(
            f"{path}: a data set must end in {', '.join(_READERS)}; got {path.name[-40:]!r} (export it as one of these)"
        )
    return distinct((case_of(given, place) for place, given in rows(path)), str(path))


def case_of(given: Any, place: str) -> EvalCase:
    """A case from an object with the fields of `EvalCase`; other fields go to `metadata`.

    Args:
        given: such as a line of JSON. `checks` may hold texts such as `contains: 30 days`, `tags` be one text with
            commas, `id` a whole number.
        place: file and line, for messages.

    Raises:
        DatasetError: it is wrong.

    >>> case_of({"question": "How long?", "answer": "30 days", "tags": "returns, easy"}, "x").tags
    ('returns', 'easy')
    """
    if not isinstance(given, Mapping):
        raise DatasetError(f"{place}: a case must be an object; got {_shown(given)} (write one object per line)")
    fields = _plain_fields(given)
    if fields.get("input") in (None, "", [], {}):
        raise DatasetError(f"{place}: a case must have an `input`; got none (say what the agent is asked)")
    return EvalCase(
        input=fields["input"],
        expected=fields.get("expected"),
        id=_id(fields.get("id"), place),
        checks=tuple(_checks(fields.get("checks"), place)),
        tags=tuple(_tags(fields.get("tags"), place)),
        metadata=_metadata(fields, place),
        place=place,
    )


def _plain_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields under their own names; of a field's other names the first that is there."""
    fields = {str(name): value for name, value in given.items()}
    for name, others in _ALSO.items():
        other = next((one for one in others if one in fields), None)
        if name not in fields and other is not None:
            fields[name] = fields.pop(other)
    return fields


def _id(given: Any, place: str) -> str:
    if given is None or given == "":
        return ""
    found = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(found, str) or len(found) > MAX_CASE_ID:
        raise DatasetError(
            f"{place}, id: must be a text of at most {MAX_CASE_ID} characters; got {_shown(given)} (shorten it, or"
            " leave it out)"
        )
    return found


def _checks(given: Any, place: str) -> Iterator[Mapping[str, Any]]:
    given = [] if given is None else given if isinstance(given, list | tuple) else [given]
    for at, one in enumerate(given, 1):
        if isinstance(one, str):
            yield _short(one, f"{place}, check {at}")
        elif isinstance(one, Mapping):
            yield one
        else:
            raise DatasetError(
                f"{place}, check {at}: must be an object with a `type`; got {_shown(one)} (docs/evals.md lists them)"
            )


def _short(text: str, place: str) -> dict[str, Any]:
    kind, colon, value = (part.strip() for part in text.partition(":"))
    if kind not in _SHORT:
        raise DatasetError(
            f"{place}: a check as text must begin with {', '.join(f'{one}:' for one in _SHORT)}; got {_shown(text)}"
            " (write others as objects)"
        )
    return {"type": kind, "value": value} if colon and value else {"type": kind}


def _tags(given: Any, place: str) -> Iterator[str]:
    tags = given.replace(";", ",").split(",") if isinstance(given, str) else given or ()
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
        raise DatasetError(f"{place}, tags: must be a list of texts; got {_shown(given)} (write them as texts)")
    yield from dict.fromkeys(stripped for tag in tags if (stripped := tag.strip()))


def _metadata(fields: Mapping[str, Any], place: str) -> dict[str, Any]:
    given = fields.get("metadata")
    if given is not None and not isinstance(given, Mapping):
        raise DatasetError(f"{place}, metadata: must be an object; got {_shown(given)} (write it as one)")
    others = {name: value for name, value in fields.items() if name not in _OWN and value is not None}
    return {**others, **(given or {})}


# --- JSON lines ---


def json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Each line of a file with its place, as JSON; empty lines are skipped.

    Raises:
        DatasetError: the file cannot be read, or a line is no JSON.
    """
    for number, line in enumerate(_bytes_of(path).split(b"\n"), 1):
        stripped = line.removeprefix(b"\xef\xbb\xbf").strip()
        if stripped:
            yield f"{path}, line {number}", _json(stripped, f"{path}, line {number}")


def _json(given: bytes | str, place: str) -> Any:
    try:
        return json.loads(given, parse_constant=_refuse)
    except (ValueError, RecursionError) as wrong:
        what = "is no UTF-8" if isinstance(wrong, UnicodeDecodeError) else "is no JSON"
        raise DatasetError(f"{place}: {what}: {_first_words(wrong)} (correct that line)") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _first_words(wrong: Exception) -> str:
    """What is wrong, without the text in which it is."""
    return wrong.msg if isinstance(wrong, json.JSONDecodeError) else " ".join(str(wrong).split())[:80]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as wrong:
        raise DatasetError(f"{path}: the data set cannot be read: {wrong.strerror} (check the path)") from None


# --- CSV ---


def _sheet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    from aftercall.evals.sheets import sheet_rows

    for place, row in sheet_rows(_bytes_of(path), str(path)):
        given: dict[str, Any] = dict(row)
        for name in ("checks", "metadata"):
            text = row.get(name)
            if text is not None and text.lstrip().startswith(("{", "[")):
                given[name] = _json(text, f"{place}, {name}")
            elif name == "checks" and text is not None:
                given[name] = [line for line in text.splitlines() if line.strip()]
        yield place, given


_READERS: Final[dict[str, Callable[[Path], Iterator[tuple[str, Any]]]]] = {
    ".jsonl": json_rows,
    ".ndjson": json_rows,
    ".csv": _sheet_rows,
    ".tsv": _sheet_rows,
}


def _shown(value: Any) -> str:
    text = "none" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
