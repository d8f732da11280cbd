"""Contract files: three formats with the same keys, and one sentence for whatever is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aftercall.contracts.contract import ContractError
from aftercall.contracts.files import read_contract, read_folder
from aftercall.contracts.syntax import contract_of
from aftercall.errors import ExitCode
from harness.contracts import contract

TOML = """
contract = "refund"
version = "3"
effective_from = "2026-12-01T00:00:00Z"
tasks = ["refund", "refund_*"]

[[rule]]
id = "fast"
type = "latency"
threshold = 2000
severity = "critical"
when = { "attrs.tier" = "gold", tool = "refund" }
"""
YAML = """
contract: refund
version: 3
effective_from: 2026-12-01T01:00:00+01:00
tasks: [refund, "refund_*"]
rule:
  - {id: fast, type: latency, max: 2000.0, severity: critical, when: {attrs.tier: gold, tool: refund}, alert: null}
"""
JSON = json.dumps(
    {
        "rule": [
            {
                "when": {"tool": "refund", "attrs.tier": "gold"},
                "max": 2000,
                "severity": "critical",
                "type": "latency",
                "id": "fast",
            }
        ],
        "tasks": ["refund", "refund_*"],
        "models": ["*"],
        "version": "3",
        "contract": "refund",
    }
)


@pytest.mark.parametrize(("ending", "text"), [(".toml", TOML), (".yaml", YAML), (".yml", YAML), (".json", JSON)])
def test_the_same_keys_in_any_format_are_the_same_contract(tmp_path: Path, ending: str, text: str) -> None:
    path = tmp_path / f"refund{ending}"
    path.write_text(text)
    read = read_contract(path)
    (tmp_path / "again.toml").write_text(TOML)
    assert read.hash == read_contract(tmp_path / "again.toml").hash
    assert (read.name, read.version, read.label, read.tasks) == ("refund", "3", "refund@3", ("refund", "refund_*"))
    assert read.effective_from_us == (None if ending == ".json" else 1_796_083_200_000_000)
    rule = read.rules[0]
    assert (rule.id, rule.type, rule.severity, rule.alert, rule.room) == (
        "fast",
        "latency",
        "critical",
        "each",
        "columns",
    )
    assert rule.dimension == "latency"
    assert rule.reads == rule.needs == {"latency_ms", "attrs", "tool_calls"}


def test_a_hash_is_of_the_content_alone() -> None:
    plain = contract({"type": "latency", "max": 2000})
    assert plain.hash == contract({"type": "latency", "max": 2000, "severity": "major"}).hash  # a default
    assert plain.hash == contract({"type": "latency", "max": 2000}, effective_until="2027-01-01T00:00:00Z").hash
    assert plain.hash == plain.starting(5).hash
    others = [
        contract({"type": "latency", "max": 2001}),
        contract({"type": "latency", "max": 2000, "severity": "minor"}),
        contract({"type": "latency", "max": 2000, "when": {"model": "m"}}),
        contract({"type": "cost", "max": 2000}),
        contract({"type": "latency", "max": 2000}, tasks=["a"]),
        contract({"type": "latency", "max": 2000}, version="2"),
    ]
    assert len({plain.hash, *(other.hash for other in others)}) == 7


def test_a_schema_file_is_part_of_the_content(tmp_path: Path) -> None:
    rule = '[[rule]]\nid = "form"\ntype = "format"\nas = "json_schema"\n'
    path = tmp_path / "c.toml"
    hashes = []
    for schema in ('{"type": "object"}', '{"type": "array"}'):
        (tmp_path / "answer.schema.json").write_text(schema)
        path.write_text(f'contract = "c"\nversion = "1"\n{rule}schema_file = "answer.schema.json"\n')
        hashes.append(read_contract(path).hash)
    path.write_text(f'contract = "c"\nversion = "1"\n{rule}schema = {{ type = "array" }}\n')
    assert hashes[0] != hashes[1] == read_contract(path).hash
    assert len(read_folder(tmp_path)) == 1  # the schema beside it is no contract


RULE: dict[str, Any] = {"id": "a", "type": "latency", "max": 1}
AT_ONE_INSTANT = {"1": "2026-01-01T00:00:00Z", "2": "2026-01-01T01:00:00+01:00"}
WRONG_RULES = [
    ({**RULE, "type": "latencyy"}, "rule 'a', type: must be a kind of rule; got 'latencyy' (did you mean 'latency'?)"),
    ({"id": "a"}, "rule 'a', type: must be a kind of rule; got none (choose one of latency, cost"),
    ({**RULE, "maxx": 2}, "rule 'a': 'maxx' is no key of `latency` (did you mean 'max'?)"),
    ({"id": "a", "type": "latency"}, "rule 'a', max: is required (set it, in milliseconds)"),
    ({"type": "latency", "max": 1}, "rule number 1, id: is required by `latency`; got none"),
    ({**RULE, "id": "A b"}, "rule 'A b', id: must be 1 to 64 characters of a-z, 0-9, _ and -; got 'A b'"),
    ({**RULE, "max": "2"}, "rule 'a', max: must be a valid number; got '2'"),
    ({**RULE, "max": -1}, "rule 'a', max: must be greater than or equal to 0; got -1"),
    ({**RULE, "threshold": 2}, "rule 'a', max: must not stand beside threshold, which means the same"),
    ({**RULE, "severity": "x"}, "rule 'a', severity: must be 'critical', 'major', 'minor' or 'info'; got 'x'"),
    ({**RULE, "when": {"foo": 1}}, "rule 'a', when: 'foo' is no field that `when` knows"),
    ({**RULE, "when": {"tokens_in": "big"}}, "rule 'a', when: tokens_in can never be 'big' (write a number, or a"),
    ({"id": "a", "type": "allowed_tools", "tools": ["[ab"]}, "must be a glob in which each [ has its ]; got '[ab'"),
    ({"id": "a", "type": "allowed_tools", "tools": []}, "rule 'a', tools: "),
    ({"id": "a", "type": "retry_limit"}, "rule 'a', attempts, calls: one of them is required"),
    ({"id": "a", "type": "documents"}, "rule 'a', latest, max_age, denied: one of them is required"),
    ({"id": "a", "type": "escalation", "tools": ["x"]}, "rule 'a', when: is required"),
    ({"id": "a", "type": "stale_data", "max_age": "1 hour"}, "rule 'a', max_age: must be a duration"),
    ({"id": "a", "type": "policy_version", "latest": {"1": "soon"}}, "rule 'a', latest.1: is not an RFC 3339 time"),
    (
        {
            "id": "a",
            "type": "policy_version",
            "latest": {"1": "2026-01-01T00:00:00Z", "2": "2026-01-01T01:00:00+01:00"},
        },
        "rule 'a', latest: versions '1' and '2' begin at one instant",
    ),
    ({"id": "a", "type": "output_length", "min": 5, "max": 3}, "rule 'a', min: must be at most max, 3; got 5"),
    ({"id": "a", "type": "safety", "method": "judge"}, "come with the judges and run sampled, never in the dataflow"),
    ({"id": "a", "type": "safety", "method": "moderation"}, "come with the judges and run sampled, never in the data"),
    ({"id": "a", "type": "session_budget", "usd": 1, "severity": "critical"}, "the dataflow has no loop back into the"),
    ({"id": "a", "type": "session_budget"}, "rule 'a', usd, calls, tokens: one of them is required"),
    ({"id": "a", "type": "python", "function": "a.b"}, """rule 'a', function: must be "module:function"; got 'a.b'"""),
    ({"id": "a", "type": "format", "as": "regex"}, """rule 'a', pattern: is required with as = "regex\""""),
    ({"id": "a", "type": "format", "pattern": "x"}, """rule 'a', pattern: has no meaning unless as = "regex\""""),
    (5, "rule number 1: must be a table of keys; got 5"),
]


@pytest.mark.parametrize(("rule", "words"), WRONG_RULES)
def test_a_wrong_rule_is_one_sentence_with_file_rule_value_and_remedy(rule: Any, words: str) -> None:
    with pytest.raises(ContractError) as refused:
        contract_of({"contract": "c", "version": "1", "rule": [rule]}, "refund.toml")
    sentence = str(refused.value)
    assert sentence.startswith("refund.toml, rule ")
    assert words in sentence
    assert sentence.endswith(")")  # the remedy
    assert "\n" not in sentence
    assert refused.value.exit_code == ExitCode.USAGE


HEAD: dict[str, Any] = {"contract": "c", "version": "1", "rule": [RULE]}
WRONG_HEADS = [
    ({**HEAD, "contract": None}, "contract: must be a valid string; got none"),
    ({**HEAD, "contract": "a@b"}, "contract: must have no blanks around it"),
    ({**HEAD, "version": 1.1}, "version: must be a valid string; got 1.1"),
    ({**HEAD, "task": ["a"]}, "'task' is no key of a contract (did you mean 'tasks'?)"),
    ({**HEAD, "tasks": []}, "tasks: "),
    ({**HEAD, "tasks": ["[a"]}, "tasks.0: must be a glob"),
    ({**HEAD, "effective_from": "2026-12-01"}, "effective_from: is not an RFC 3339 time"),
    (
        {**HEAD, "effective_from": "2026-12-01T00:00:00Z", "effective_until": "2026-12-01T00:00:00Z"},
        "effective_until: must lie after effective_from",
    ),
    ({**HEAD, "rule": []}, "rule: must be a list of one rule at least"),
    ({**HEAD, "rule": RULE}, "rule: must be a list of one rule at least"),
    ({**HEAD, "rule": [RULE, RULE]}, "rule 'a': two rules have this id"),
    ({**HEAD, "rule": [{**RULE, "id": f"r{at}"} for at in range(65)]}, "at most 64 rules may judge one call; got 65"),
    ([HEAD], "must be a table of keys"),
]


@pytest.mark.parametrize(("head", "words"), WRONG_HEADS)
def test_a_wrong_key_of_a_contract_is_one_sentence(head: Any, words: str) -> None:
    with pytest.raises(ContractError) as refused:
        contract_of(head, "refund.toml")
    assert str(refused.value).startswith("refund.toml")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.toml", b"contract = ", "is not TOML: "),
        ("a.yaml", b"contract: [", "is not YAML: "),
        ("a.yaml", b"contract: a\ncontract: b\n", "is not YAML: key 'contract' comes twice"),
        ("a.yaml", b"contract: &a [x]\nversion: *a\n", "it has aliases"),
        ("a.json", b'{"contract": "a", "contract": "b"}', "is not JSON: key 'contract' comes twice"),
        ("a.json", b"[" * 100_000, "is not JSON: "),
        ("a.json", b"\xff", "is not JSON: "),
        ("a.toml", b"#" * 1_100_000, "must have at most 1,048,576 bytes; got 1,100,000"),
        ("a.txt", b"", "must end in .toml, .yaml, .yml, .json; got 'a.txt'"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ContractError) as refused:
        read_contract(tmp_path / name)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_or_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"a\.toml: cannot be read: No such file or directory"):
        read_contract(tmp_path / "a.toml")
    with pytest.raises(ContractError, match=r"none: cannot be read: No such file or directory"):
        read_folder(tmp_path / "none")
