"""The published schema of contract files takes what the reader takes, and refuses what it refuses by key or type."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from aftercall.contracts.contract import ContractError
from aftercall.contracts.file_schema import contract_schema
from aftercall.contracts.kinds import KINDS
from aftercall.contracts.syntax import contract_of

SCHEMA = jsonschema_rs.validator_for(contract_schema())
LATENCY = {"id": "fast", "type": "latency", "max": 2000}


def head(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"contract": "refund", "version": "3", "rule": list(rules), **more}


def test_every_kind_is_in_the_schema() -> None:
    assert set(contract_schema()["properties"]["rule"]["items"]["discriminator"]["mapping"]) == set(KINDS)


@pytest.mark.parametrize(
    "content",
    [
        head(LATENCY),
        head({"id": "fast", "type": "latency", "threshold": 2000}),
        head({**LATENCY, "severity": "critical", "when": {"attrs.tier": ["gold", 1], "tokens_in": "> 5"}}),
        head(LATENCY, tasks=["refund_*"], effective_from="2026-12-01T00:00:00Z"),
        head({"id": "f", "type": "format", "as": "json_schema", "schema": {"type": "object"}}),
        head({"id": "s", "type": "safety"}),
        head({"id": "d", "type": "documents", "latest": {"handbook": "7"}}),
        head({"id": "p", "type": "python", "function": "rules:greets"}),
    ],
)
def test_what_the_reader_takes_fits_the_schema(content: dict[str, Any]) -> None:
    contract_of(content, "c.toml")
    assert SCHEMA.is_valid(content), [error.message for error in SCHEMA.iter_errors(content)]


@pytest.mark.parametrize(
    "content",
    [
        head(),
        head(*[{**LATENCY, "id": f"r{at}"} for at in range(65)]),
        head({"id": "fast", "max": 2000}),
        head({**LATENCY, "type": "latencyy"}),
        head({**LATENCY, "maxx": 1}),
        head({**LATENCY, "max": -1}),
        head({**LATENCY, "severity": "bad"}),
        head({"id": "fast", "type": "latency"}),
        head({"id": "a", "type": "allowed_tools", "tools": []}),
        head(LATENCY, task=["a"]),
    ],
)
def test_what_the_reader_refuses_by_key_or_type_does_not_fit(content: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        contract_of(content, "c.toml")
    assert not SCHEMA.is_valid(content)
