"""Reads contract files: TOML, YAML or JSON with the same keys."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aftercall.contracts.contract import Contract, ContractError
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.syntax import contract_of

MAX_FILE: Final = 1024 * 1024
SCHEMA_ENDING: Final = ".schema.json"
"""Files of schemas may lie beside contracts: `read_folder` leaves out what ends so."""


def read_contract(path: Path | str) -> Contract:
    """One version of a contract, from its file; its schema files are read too.

    Raises:
        ContractError: the file cannot be read, or is wrong.
    """
    path = Path(path)
    given = _parsed(path)
    if isinstance(given, dict) and isinstance(given.get("rule"), list):
        given = {**given, "rule": [_with_schema(rule, path, at) for at, rule in enumerate(given["rule"], 1)]}
    return contract_of(given, str(path))


def read_folder(folder: Path | str) -> ContractSet:
    """All contracts of a folder, without its sub-folders and hidden files.

    Raises:
        ContractError: the folder cannot be read, a file is wrong, or two do not go together.
    """
    try:
        paths = sorted(path for path in Path(folder).iterdir() if _is_contract(path))
    except OSError as wrong:
        raise ContractError(f"{folder}: cannot be read: {wrong.strerror} (name a folder of contract files)") from None
    return ContractSet(map(read_contract, paths))


def read_contracts(paths: list[Path]) -> ContractSet:
    """The contracts of these files and folders together.

    Raises:
        ContractError: as `read_contract` and `read_folder`.
    """
    contracts: list[Contract] = []
    for path in paths:
        contracts.extend(read_folder(path) if path.is_dir() else [read_contract(path)])
    return ContractSet(contracts)


def _is_contract(path: Path) -> bool:
    if path.name.startswith(".") or path.name.endswith(SCHEMA_ENDING):
        return False
    return path.suffix in _PARSERS and path.is_file()


def _with_schema(rule: Any, path: Path, at: int) -> Any:
    """A rule with the schema of its `schema_file`, whose path is relative to the contract's file."""
    name = rule.get("schema_file") if isinstance(rule, dict) else None
    if not isinstance(name, str):
        return rule
    place = f"{path}, rule {rule.get('id', at)!r}, schema_file"
    if "schema" in rule:
        raise ContractError(f"{place}: must not stand beside schema (keep one of them)")
    schema = _parsed(path.parent / name, place)
    if not isinstance(schema, dict):
        raise ContractError(f"{place}: must hold a JSON Schema, which is an object; {name} does not (fix that file)")
    return {**rule, "schema": schema}


def _parsed(path: Path, place: str | None = None) -> Any:
    place = str(path) if place is None else place
    parse = _PARSERS.get(path.suffix)
    if parse is None:
        raise ContractError(f"{place}: must end in {', '.join(_PARSERS)}; got {path.name!r} (rename the file)")
    try:
        content = path.read_bytes()
    except OSError as wrong:
        raise ContractError(f"{place}: cannot be read: {wrong.strerror}: {path} (check the path)") from None
    if len(content) > MAX_FILE:
        raise ContractError(f"{place}: must have at most {MAX_FILE:,} bytes; got {len(content):,} (split the contract)")
    try:
        return parse(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as wrong:
        what = " ".join(str(wrong).split()) or "it is nested too deep"
        raise ContractError(f"{place}: is not {path.suffix[1:].upper()}: {what} (fix the file)") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; a key that comes twice would silently lose a rule."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} comes twice")
        found[key] = value
    return found


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique)


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ContractError(
            "contracts in YAML need PyYAML, which is not installed (pip install 'aftercall[contracts]', or write TOML)"
        ) from None

    class Loader(yaml.SafeLoader):
        """Refuses a key that comes twice, and aliases, which may stand for gigabytes."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("it has aliases (write the values out)")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
            keys = [key.value for key, _ in node.value]
            if len(set(keys)) < len(keys):
                raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} comes twice")
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)  # noqa: S506 - a kind of SafeLoader
    except yaml.YAMLError as wrong:
        raise ValueError(str(wrong)) from None


_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    ".toml": tomllib.loads,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
}
