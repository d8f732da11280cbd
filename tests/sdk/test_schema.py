"""The published schemas describe what the models accept and write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aftercall import __version__
from aftercall.records import DEAD_LETTER_REASONS
from aftercall.schema import TOPICS, asyncapi, json_schemas


def refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def target(document: Any, ref: str) -> Any:
    assert ref.startswith("#/")
    for key in ref[2:].split("/"):
        document = document[key]
    return document


def test_all_records_have_a_schema() -> None:
    sent = {"VerdictRecord", "Recommendation", "TrustRecord", "Alert", "CheckRecord", "DeadLetter"}
    assert set(json_schemas()) == {"AgentCall", "Outcome", "Mark"} | sent


@pytest.mark.parametrize("name", sorted(json_schemas()))
def test_every_reference_of_a_schema_resolves_and_unknown_fields_pass(name: str) -> None:
    schema = json_schemas()[name]
    assert schema["type"] == "object"
    for ref in refs(schema):
        assert isinstance(target(schema, ref), dict)
    assert "'additionalProperties': False" not in str(schema)


def test_the_required_fields_of_events_are_those_of_the_reference() -> None:
    schemas = json_schemas()
    assert set(schemas["AgentCall"]["required"]) == {"call_id", "occurred_at", "task_type", "model"}
    assert {"outcome_id", "occurred_at"} <= set(schemas["Outcome"]["required"])
    assert schemas["Outcome"]["anyOf"] == [{"required": ["call_id"]}, {"required": ["session_id"]}]


def test_the_verdict_schema_has_the_fields_of_the_reference_in_their_order() -> None:
    seal, call = ["event_id", "seq"], ["call_id", "task_type", "model", "config"]
    rest = ["verdict", "score", "source", "outcome_id", "reason", "decided_at", "age_s"]
    fields = [*seal, *call, *rest]
    schema = json_schemas()["VerdictRecord"]
    assert list(schema["properties"]) == fields
    assert schema["required"] == fields  # written always, null where absent
    assert schema["properties"]["verdict"]["enum"] == ["pending", "success", "failure", "expired"]


def test_every_slug_is_published_with_the_dead_letter() -> None:
    assert json_schemas()["DeadLetter"]["properties"]["reason"]["examples"] == sorted(DEAD_LETTER_REASONS)


def test_the_asyncapi_document_has_every_topic_with_key_and_cleanup_policy() -> None:
    document = asyncapi(__version__)
    assert document["asyncapi"].startswith("3.")
    assert document["info"]["version"] == __version__
    found = {
        channel["address"]: channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"]
        for channel in document["channels"].values()
    }
    assert found == {
        "agent.calls": ["delete"],
        "agent.outcomes": ["delete"],
        "agent.marks": ["compact"],
        "agent.verdicts": ["compact", "delete"],
        "agent.recommendations": ["compact"],
        "agent.trust": ["compact"],
        "agent.alerts": ["delete"],
        "agent.checks": ["delete"],
        "agent.dead-letters": ["delete"],
    }
    for topic in TOPICS:
        message = document["components"]["messages"][topic.record.__name__]
        assert message["bindings"]["kafka"]["key"]["description"] == topic.key
        fields = topic.record.model_fields
        assert set(topic.key.split(" or ")) <= fields.keys() or topic.name == "dead_letters"


def test_every_reference_of_the_asyncapi_document_resolves_within_it() -> None:
    document = asyncapi(__version__)
    found = set(refs(document))
    assert len(found) > 18
    for ref in found:
        assert isinstance(target(document, ref), dict)


def test_operations_reach_their_messages_through_their_own_channel() -> None:
    document = asyncapi(__version__)
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
    assert {name for name in document["operations"] if name.startswith("receive")} == {
        "receive_calls",
        "receive_outcomes",
        "receive_marks",
    }
