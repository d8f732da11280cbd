"""Validates records with pydantic, the slow tier, and words each refusal in one sentence."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aftercall.events import MAX_RECORD_BYTES, AgentCall, Outcome
from aftercall.marks import Mark
from aftercall.printable import printable
from connectors.decode.labels import Lost

CALL, OUTCOME, MARK = 0, 1, 2
"""Kinds of records."""

_MODELS: Final[tuple[type[AgentCall], type[Outcome]]] = (AgentCall, Outcome)
_NAMES: Final = ("a call", "an outcome", "a mark")
_SLUGS: Final = {
    "missing": "missing_field",
    "string_too_long": "too_long",
    "too_long": "too_long",
    "string_too_short": "out_of_range",
    "greater_than_equal": "negative",
    "greater_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "not_finite",
    "literal_error": "out_of_range",
    "bad_time": "bad_time",
    "before_2000": "before_2000",
    "not_finite": "not_finite",
    "empty_retraction": "empty_retraction",
    "reserved_source": "reserved_source",
    "reserved_name": "reserved_name",
    "type_mismatch": "type_mismatch",
    "missing_field": "missing_field",
    "ambiguous_subject": "ambiguous_subject",
}
_IMPORT: Final = " (`aftercall import` converts such files)"
_PRIVATE: Final = ("input", "output")
_SHOWN: Final = 60


class Refusal(NamedTuple):
    """Why a record is not accepted: a slug, and one sentence with place, rule and value."""

    reason: str
    detail: str


def examine(raw: bytes, kind: int, left_out: list[Lost] | None = None) -> AgentCall | Outcome | Refusal:
    """Validate a record by `aftercall.events`, which decides. Costs some 5 us, more for records that are refused.

    Args:
        raw: the record as it was read.
        kind: `CALL` or `OUTCOME`, from the topic or file.
        left_out: receives the names of labels that are nested or too long, and the number of documents beyond the most,
            without which the record is accepted.
    """
    if len(raw) > MAX_RECORD_BYTES:
        return over_limit(len(raw))
    try:
        return _MODELS[kind].model_validate_json(raw, context=left_out)
    except ValidationError as wrong:
        return _explain(raw, kind, wrong)


def examine_mark(raw: bytes) -> Mark | Refusal:
    """Validate a mark by `aftercall.marks`, as `examine` does calls and outcomes."""
    if len(raw) > MAX_RECORD_BYTES:
        return over_limit(len(raw))
    try:
        return Mark.model_validate_json(raw)
    except ValidationError as wrong:
        return _explain(raw, MARK, wrong)


def over_limit(size: int) -> Refusal:
    """The refusal of a record of so many bytes."""
    return Refusal("too_large", f"the record has {size} bytes; at most {MAX_RECORD_BYTES} are allowed")


def _explain(raw: bytes, kind: int, wrong: ValidationError) -> Refusal:
    errors = wrong.errors(include_url=False)
    if errors[0]["type"] == "json_invalid":
        return _explain_json(raw, errors[0])
    error = max(errors, key=_specificity)
    if not error["loc"]:
        if error["type"] in {"model_type", "dict_type"}:
            return Refusal("not_object", f"{_NAMES[kind]} is a JSON object; got {_kind_of(error['input'])}")
        return Refusal(_SLUGS.get(error["type"], "wrong_type"), f"the record: {error['msg']}")
    place = _path(error["loc"])
    if error["type"] == "missing":
        return Refusal("missing_field", f"field '{place}' is required in {_NAMES[kind]}")
    slug = _SLUGS.get(error["type"], "wrong_type")
    if error["type"] == "literal_error" and not isinstance(error["input"], str):
        slug = "wrong_type"
    rule = error["msg"].removeprefix("Input ").removeprefix("String ").removeprefix("List ")
    return Refusal(slug, f"field '{place}' {rule}{_got(error)}{_IMPORT if _is_convertible(slug, error) else ''}")


def _explain_json(raw: bytes, error: ErrorDetails) -> Refusal:
    try:
        raw.decode()
    except UnicodeDecodeError as wrong:
        return Refusal("not_utf8", f"byte {wrong.start} is not UTF-8; records are JSON in UTF-8")
    what = error["msg"].removeprefix("Invalid JSON: ")
    if "recursion limit" in what:
        return Refusal("too_deep", "the JSON is nested more than 200 levels deep")
    if "number out of range" in what:
        return Refusal("not_finite", f"the record holds a number too large to read ({what})")
    return Refusal("not_json", f"the record is not JSON: {what}")


def _is_convertible(slug: str, error: ErrorDetails) -> bool:
    """Whether another system may mean something by it: 1.0 for true, a number or other text with digits for a time."""
    return slug == "wrong_type" or (slug == "bad_time" and any(map(str.isdigit, str(error["input"]))))


def _specificity(error: ErrorDetails) -> tuple[bool, int]:
    """Sort key of a union's errors: greatest for the member that was meant, whose type is right or error deepest."""
    return not error["type"].endswith("_type"), len(error["loc"])


def _path(loc: tuple[int | str, ...]) -> str:
    """The path without pydantic's tags for members of a union."""
    if loc[0] == "attrs":
        loc = loc[:2]
    elif loc[0] == "tool_calls":
        loc = (loc[0], *loc[2:])
    path = ".".join(str(part)[:_SHOWN] for part in loc)
    return printable(path)


def _got(error: ErrorDetails) -> str:
    if error["type"] in {"bad_time", "before_2000", "reserved_source", "reserved_name"}:
        return ""  # the message has the value already
    value = error["input"]
    if any(part in _PRIVATE for part in error["loc"]) or not isinstance(value, str | bool | int | float):
        return f"; got {_kind_of(value)}"
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"; got {len(value)} characters"
    return f"; got {str(value)[:_SHOWN] if not isinstance(value, str) else repr(value)}"


def _kind_of(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
