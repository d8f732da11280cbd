"""Compiles JSON Schemas that fetch nothing and take linear time, and says where a value does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aftercall.errors import UsageError

MASK: Final = "..."
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_VALUES: Final = frozenset({"const", "enum", "default", "examples", "required", "dependentRequired"})
"""Keywords that hold values, in which a `$ref` refers to nothing."""
_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords that hold schemas by name: their keys are no keywords."""
_DRAFTS: Final = "https://json-schema.org/", "http://json-schema.org/"
_MOST: Final = 10


class Schema:
    """A JSON Schema, of the draft that its `$schema` names; else 2020-12."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compile it.

        Raises:
            ValueError: it is no schema, refers to something outside of itself, or has a pattern that takes more than
                linear time; one clause.
            UsageError: jsonschema-rs is not installed.
        """
        _refuse_remote(schema)
        library = _library()
        try:
            self._validator = library.validator_for(
                dict(schema), offline=True, mask=MASK, pattern_options=library.RegexOptions()
            )
        except (library.ValidationError, library.ReferencingError, ValueError) as wrong:
            raise ValueError(_refused(wrong)) from None
        self._names = frozenset(_names(schema))
        self._error: type[Exception] = library.ValidationError

    def fits(self, value: Any) -> bool:
        """Whether a value, as JSON was read, fits; some ns a value in it."""
        return bool(self._validator.is_valid(value))

    def misfit(self, value: Any) -> str:
        """Where a value does not fit first, and by which keyword: no key or value that the schema does not have.

        Costs up to a hundred times as much as `fits`, as every branch of an `anyOf` is reported.
        """
        try:
            self._validator.validate(value)
        except self._error as wrong:
            path, keyword = getattr(wrong, "instance_path", []), getattr(wrong, "schema_path", [])
            return f"{_pointer(self._shown(path)) or 'the whole'} breaks {_pointer(map(str, keyword)) or 'the schema'}"
        return "the schema is broken"

    def _shown(self, path: list[str | int]) -> Iterator[str]:
        """A path without names that only the text has."""
        return (str(part) if isinstance(part, int) or part in self._names else "*" for part in path[:_MOST])


def _library() -> Any:
    try:
        import jsonschema_rs
    except ImportError:
        raise UsageError(
            "contracts with a JSON Schema need jsonschema-rs, which is not installed"
            " (pip install 'aftercall[contracts]')"
        ) from None
    return jsonschema_rs


def _pointer(parts: Any) -> str:
    return "".join(f"/{part}" for part in parts)


def _schemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """A schema and all in it, without recursion."""
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            yield one
            for key, value in one.items():
                if key in _NAMED and isinstance(value, Mapping):
                    waiting.extend(value.values())
                elif key not in _VALUES:
                    waiting.append(value)
        elif isinstance(one, list):
            waiting.extend(one)


def _refuse_remote(schema: Mapping[str, Any]) -> None:
    known = {one["$id"].rstrip("#") for one in _schemas(schema) if isinstance(one.get("$id"), str)}
    for one in _schemas(schema):
        for key in _REFERENCES:
            target = one.get(key)
            if isinstance(target, str) and not target.startswith("#") and not _is_known(target, known):
                raise ValueError(
                    f"{key} {target[:120]!r} is not in this schema, and nothing is ever fetched (put it under $defs,"
                    ' and refer to it by "#/$defs/NAME")'
                )
    draft = schema.get("$schema")
    if isinstance(draft, str) and not draft.startswith(_DRAFTS):
        raise ValueError(f"$schema {draft[:120]!r} is no draft of JSON Schema, and nothing is ever fetched (remove it)")


def _is_known(target: str, known: set[str]) -> bool:
    return target.partition("#")[0] in known


def _names(schema: Mapping[str, Any]) -> Iterator[str]:
    """Names of properties that the schema itself has."""
    for one in _schemas(schema):
        properties, required = one.get("properties"), one.get("required")
        if isinstance(properties, Mapping):
            yield from properties
        if isinstance(required, list):
            yield from (name for name in required if isinstance(name, str))


def _refused(wrong: Exception) -> str:
    """What the library says of the schema itself, in one line."""
    where = _pointer(getattr(wrong, "instance_path", []))
    if where.endswith("/pattern") or "regex" in str(wrong).partition("\n")[0]:
        return (
            f"{where or 'a pattern'} is no pattern of linear time: look-arounds and back-references are excluded"
            " (rewrite it)"
        )
    said = " ".join(str(wrong).partition("\n")[0].split())[:200]
    return f"{where or 'it'} is no JSON Schema: {said} (see https://json-schema.org)"
