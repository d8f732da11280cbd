"""Generates JSON Schemas of all records, and an AsyncAPI 3 document of all topics."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from aftercall.check_record import CheckRecord
from aftercall.events import AgentCall, Outcome
from aftercall.marks import Mark
from aftercall.records import Alert, DeadLetter, Recommendation, VerdictRecord
from aftercall.trust_record import TrustRecord

ASYNCAPI_VERSION = "3.1.0"
KAFKA_BINDING_VERSION = "0.5.0"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Policy = Literal["compact", "delete"]
Json = dict[str, Any]


class TopicContract(NamedTuple):
    """One topic: its default name, what it carries, its record key and how the broker may clean it up."""

    name: str
    address: str
    record: type[BaseModel]
    key: str
    policies: tuple[Policy, ...]
    action: Literal["receive", "send"]
    """What the pipeline does with it."""


TOPICS = (
    TopicContract("calls", "agent.calls", AgentCall, "call_id", ("delete",), "receive"),
    TopicContract("outcomes", "agent.outcomes", Outcome, "call_id or session_id", ("delete",), "receive"),
    TopicContract("marks", "agent.marks", Mark, "mark_id", ("compact",), "receive"),
    TopicContract("verdicts", "agent.verdicts", VerdictRecord, "call_id", ("compact", "delete"), "send"),
    TopicContract("recommendations", "agent.recommendations", Recommendation, "task_type", ("compact",), "send"),
    TopicContract("trust", "agent.trust", TrustRecord, "series", ("compact",), "send"),
    TopicContract("alerts", "agent.alerts", Alert, "alert_id", ("delete",), "send"),
    TopicContract("checks", "agent.checks", CheckRecord, "call_id", ("delete",), "send"),
    TopicContract("dead_letters", "agent.dead-letters", DeadLetter, "the original record's key", ("delete",), "send"),
)


def json_schemas() -> dict[str, Json]:
    """One self-contained JSON Schema (2020-12) per record, by its name."""
    return {
        topic.record.__name__: {"$schema": _DIALECT, **_open(topic.record.model_json_schema(mode=_mode(topic)))}
        for topic in TOPICS
    }


def asyncapi(version: str) -> Json:
    """The AsyncAPI 3 document of all topics under their default names, seen from the pipeline.

    Args:
        version: of aftercall.
    """
    _, shared = models_json_schema(
        [(topic.record, _mode(topic)) for topic in TOPICS], ref_template="#/components/schemas/{model}"
    )
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "aftercall",
            "version": version,
            "description": "Joins LLM agent calls with their delayed outcomes: verdicts, alerts, recommendations,"
            " trust, violations. Fields may be added, never renamed or dropped.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {f"{topic.action}_{topic.name}": _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {topic.record.__name__: _message(topic) for topic in TOPICS},
            "schemas": _open(shared["$defs"]),
        },
    }


def _mode(topic: TopicContract) -> Literal["validation", "serialization"]:
    return "validation" if topic.action == "receive" else "serialization"


def _open(schema: Any) -> Any:
    # The models forbid unknown fields where records are built; readers must ignore the fields of later versions.
    if isinstance(schema, dict):
        return {k: _open(v) for k, v in schema.items() if not (k == "additionalProperties" and v is False)}
    return [_open(part) for part in schema] if isinstance(schema, list) else schema


def _channel(topic: TopicContract) -> Json:
    name = topic.record.__name__
    return {
        "address": topic.address,
        "description": _first_line(topic.record),
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {
            "kafka": {
                "topicConfiguration": {"cleanup.policy": list(topic.policies)},
                "bindingVersion": KAFKA_BINDING_VERSION,
            }
        },
    }


def _operation(topic: TopicContract) -> Json:
    return {
        "action": topic.action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{topic.record.__name__}"}],
    }


def _message(topic: TopicContract) -> Json:
    name = topic.record.__name__
    return {
        "name": name,
        "title": name,
        "summary": _first_line(topic.record),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": topic.key},
                "bindingVersion": KAFKA_BINDING_VERSION,
            }
        },
    }


def _first_line(record: type[BaseModel]) -> str:
    return (record.__doc__ or record.__name__).strip().splitlines()[0]
