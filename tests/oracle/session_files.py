"""Histories with sessions as files of JSON lines, and the oracle after a replay of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from oracle.order import File, Read, watermarks
from oracle.records import EPOCH, Call, Outcome, Rules, parse
from oracle.replay import Dead
from oracle.session import Said
from oracle.session_replay import SessionOracle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oracle.session_histories import SessionHistory
    from oracle.session_replay import Record

_CALL = ("call_id", "task_type", "model", "config", "session_id", "parent_call_id")
_OUTCOME = ("outcome_id", "source", "success", "score", "retracts", "reason", "author")


def as_settings(rules: Rules) -> Rules:
    """The rules as far as users can set them."""
    return replace(rules, most_reached=1000, most_ids=1000, most_calls=10_000, completes=True)


def line_of(record: Record) -> tuple[str, dict[str, Any]]:
    """The kind and the members of a record on the wire."""
    if isinstance(record, Call):
        return "calls", _present({"occurred_at": _time(record.at)} | {name: getattr(record, name) for name in _CALL})
    session_id, scope, outcome = None, None, record
    if isinstance(record, Said):
        session_id, scope, outcome = record.session_id, record.scope, record.outcome
    assert isinstance(outcome, Outcome)
    members = {name: getattr(outcome, name) for name in _OUTCOME}
    # Such a history may ask for other calls under an id of `descendants`: then no call is named.
    call_id = outcome.call_id if scope in {None, "descendants"} else None
    members |= {"occurred_at": _time(outcome.at), "call_id": call_id, "session_id": session_id}
    if outcome.call_at is not None:
        members["call_occurred_at"] = _time(outcome.call_at)
    if outcome.action != "assert":
        members["action"] = outcome.action
    if scope is not None and (scope != "last" or outcome.success):  # "last" is what is meant without one, too
        members["scope"] = scope
    return "outcomes", _present(members)


def read_of(kind: str, line: bytes) -> Any:
    """The record of a line, an outcome of a session too."""
    raw = {name: value for name, value in json.loads(line).items() if value is not None}
    if kind == "calls" or "session_id" not in raw:
        return parse(kind, line)
    outcome = parse(kind, json.dumps({"call_id": "-", **raw}).encode())
    assert isinstance(outcome, Outcome)
    named = raw.get("call_id", "")
    return Said(raw["session_id"], replace(outcome, call_id=named), raw.get("scope", "last"))


def files_of(history: SessionHistory) -> tuple[File, ...]:
    """Each partition as a file of calls and one of outcomes, the former first, as a replay has them."""
    lines: dict[str, list[tuple[bytes, ...]]] = {"calls": [], "outcomes": []}
    for partition in history.partitions:
        written = [line_of(record) for record in partition]
        for kind, of_kind in lines.items():
            of_kind.append(tuple(json.dumps(members).encode() for one, members in written if one == kind))
    return tuple(File(kind, some) for kind, of_kind in lines.items() for some in of_kind)


def replayed_files(rules: Rules, files: Sequence[File]) -> Replayed:
    """The oracle after a replay."""
    reads = [
        Read(index, line, read_of(file.kind, text))
        for index, file in enumerate(files)
        for line, text in enumerate(file.lines, start=1)
    ]
    order = sorted(reads, key=lambda read: (read.record.at, read.file, read.line))
    oracle = SessionOracle(rules)
    before, last = watermarks(order, len(files))
    for read, watermark in zip(order, before, strict=True):
        oracle.feed(read.record, watermark)
    oracle.finish(last)
    return Replayed(oracle)


class Replayed:
    """What an oracle with sessions has for `oracle.against`."""

    def __init__(self, oracle: SessionOracle) -> None:
        self.oracle = oracle

    def counters(self) -> dict[str, int]:
        """Those of ledgers and sessions."""
        return self.oracle.counters()

    def dead(self) -> list[Dead]:
        """The dead letters of both."""
        return [Dead(*letter) for letter in self.oracle.dead()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.oracle.ledgers, name)


def _time(at: int) -> str:
    return (EPOCH + timedelta(microseconds=at)).isoformat()


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
