"""Reads what outcomes are about: a call, or calls of a session."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, NamedTuple, cast

import numpy as np
from xxhash import xxh3_64_intdigest

from connectors.batch import U64, Bools
from connectors.decode.uuids import uuid_words

_session, _scope = attrgetter("session_id"), attrgetter("scope")


class Subjects(NamedTuple):
    """Of outcomes: hashes of call and session, 0 where absent, and `call_uuid` as in `connectors.batch.Outcomes`.

    `sure`: they name what they must, and nothing that they must not.
    """

    key: U64
    session: U64
    call_uuid: U64
    sure: Bools


def subjects_of(records: list[Any], call_ids: list[str | None]) -> Subjects:
    """The subjects of a piece of outcomes, mostly of calls, or of sessions."""
    count, sessions, scopes = len(records), list(map(_session, records)), list(map(_scope, records))
    sure, session = np.ones(count, np.bool_), np.zeros(count, np.uint64)
    if sessions.count(None) == scopes.count(None) == count and None not in call_ids:
        ids = cast("list[str]", call_ids)
        return Subjects(hashes_of(ids), session, uuid_words(ids), sure)
    for i, (call_id, session_id, scope) in enumerate(zip(call_ids, sessions, scopes, strict=True)):
        sure[i] = _is_one(call_id, session_id, scope)
        if session_id is not None:
            session[i] = xxh3_64_intdigest(session_id.encode()) or 1
    key, words = np.zeros(count, np.uint64), np.zeros((count, 2), np.uint64)
    of_calls = [i for i, call_id in enumerate(call_ids) if call_id is not None]
    ids = [call_id for call_id in call_ids if call_id is not None]
    key[of_calls], words[of_calls] = hashes_of(ids), uuid_words(ids)
    return Subjects(key, session, words, sure)


def _is_one(call_id: str | None, session_id: str | None, scope: str | None) -> bool:
    """Whether exactly one is named, or both with `descendants`; as `aftercall.events.Outcome` has it."""
    if session_id is None:
        return call_id is not None and scope is None
    return (call_id is not None) == (scope == "descendants")


def hashes_of(ids: list[str]) -> U64:
    """The hashes of ids."""
    return np.fromiter(map(xxh3_64_intdigest, map(str.encode, ids)), np.uint64, len(ids))
