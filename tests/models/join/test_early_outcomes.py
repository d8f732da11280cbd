"""The columns of early outcomes do what a list of them would."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import plain
from models.join.early_outcomes import EarlyOutcomes
from models.join.homonyms import Homonyms
from models.join.ledger import Statement
from models.join.merged import _waiting
from models.join.waiting_table import EarlyOutcome

HOUR_US = 3_600_000_000
WAIT_US = 24 * HOUR_US
KEYS = (3, 5, 2**64 - 1)
UUID = "01957b3e-5c00-7000-8000-00000000000"


def _outcome(key: int, number: int, hour: int, kind: int) -> EarlyOutcome:
    statement = Statement(
        at=hour * HOUR_US // 2,
        outcome_id=f"{UUID}{number}" if number < 6 else f"o{number}",
        source=(None, "s", "judge")[kind % 3],
        given=(None, True, False)[kind % 3],
        score=0.25 if kind % 3 == 0 else None,
        retract=kind == 3,
        retracts="x" if kind == 3 else None,
        reason=("ünï" * kind) if kind > 1 else None,
        minute=hour,
        author="ann" if kind == 1 else None,
    )
    digest = sha256(bytes([kind])).hexdigest()
    return EarlyOutcome(statement, f"call-{key}", statement.at + WAIT_US, f"p{kind}", kind, number, digest)


Step = tuple[str, int, int, int, int]
STEPS = st.tuples(
    st.sampled_from(["add", "add", "add", "add", "pop", "expire", "expire one", "oldest", "store", "restore"]),
    st.sampled_from(KEYS), st.integers(0, 12), st.integers(0, 12), st.integers(0, 3),
)  # fmt: skip


class Beside:
    """The outcomes by key, in the order of their arrival."""

    def __init__(self) -> None:
        self.by_key: dict[int, list[EarlyOutcome]] = {}

    def all(self) -> list[tuple[int, EarlyOutcome]]:
        """In the order in which their wait ends."""
        everything = [(key, outcome) for key, outcomes in self.by_key.items() for outcome in outcomes]
        return sorted(everything, key=lambda o: (o[1].deadline, o[0], o[1].call_id, o[1].statement.outcome_id))

    def remove(self, key: int, outcome: EarlyOutcome) -> None:
        self.by_key[key].remove(outcome)


@given(st.lists(STEPS, max_size=80))
def test_columns_do_what_a_list_would(steps: list[Step]) -> None:
    """Of few calls, up to thirteen ids each and editions of these: chains, dictionaries, deadlines, states, changes."""
    early, beside = EarlyOutcomes(Homonyms(0), 7), Beside()
    stored = [plain.pack(early.state())]
    for step, key, number, hour, kind in steps:
        ours = beside.by_key.setdefault(key, [])
        if step == "add":
            outcome = _outcome(key, number, hour, kind)
            said = outcome.statement
            namesakes = [o.statement for o in ours if o.statement.outcome_id == said.outcome_id]
            assert early.first(key, said.outcome_id) == (namesakes[0] if namesakes else None)
            known = said.deciding() in {other.deciding() for other in namesakes}
            assert early.has(key, said) == known
            if not known:
                early.add(key, outcome)
                ours.append(outcome)
        elif step == "pop":
            assert early.pop(key) == ours
            del beside.by_key[key]
        elif step == "expire":
            now = hour * HOUR_US // 2 + WAIT_US
            due = [(k, o) for k, o in beside.all() if o.deadline < now][: number or None]
            assert list(early.pop_expired(now, number or None)) == [o for _, o in due]
            for owner_key, outcome in due:
                beside.remove(owner_key, outcome)
        elif step == "expire one":
            now = hour * HOUR_US // 2 + WAIT_US
            assert early.pop_expired_for(key, now) == [o for o in ours if o.deadline < now]
            beside.by_key[key] = [o for o in ours if o.deadline >= now]
        elif step == "oldest":
            if everything := beside.all():
                assert early.oldest_at() == everything[0][1].statement.at
                assert early.pop_oldest() == everything[0][1]
                beside.remove(*everything[0])
            else:
                assert early.oldest_at() is None
        elif step == "store":
            stored.append(plain.pack(early.changes()))
        else:
            state, *changes = map(plain.unpack, [*stored, plain.pack(early.changes())])
            early = EarlyOutcomes.from_state(_waiting([state, *changes]), Homonyms(0), number)
            stored = [plain.pack(early.state())]
        assert len(early) == sum(map(len, beside.by_key.values()))
        found = early.find(np.array(KEYS, np.uint64)) >= 0
        assert found.tolist() == [bool(beside.by_key.get(k)) for k in KEYS]
    assert {k: early.pop(k) for k in KEYS} == {k: beside.by_key.get(k, []) for k in KEYS}


@pytest.mark.parametrize("at_once", [1, 5_000])
def test_many_that_come_and_go_leave_no_rows_behind(at_once: int) -> None:
    """Each waits a moment for its call, and then its room is there for others."""
    early = EarlyOutcomes(Homonyms(0), 0)
    for start in range(0, 200_000 if at_once > 1 else 2_000, at_once):
        for key in range(start, start + at_once):
            early.add(key, _outcome(key, 7, 0, 1))
        for key in range(start, start + at_once):
            assert len(early.pop(key)) == 1
        if start > 100_000:
            break
    assert len(early) == 0
    assert len(early._table) < 2 * at_once + 128
    assert sum(map(len, early._deadlines._hours.values())) <= 100_000


def test_a_row_that_is_used_again_for_the_same_deadline_has_the_place_of_its_new_outcome() -> None:
    """Else the newest might be given up in place of the oldest."""
    early = EarlyOutcomes(Homonyms(0), 0)
    given_up = []
    for number in (10, 12, 11, 9):
        early.add(3, _outcome(3, number, 0, 1))
        if len(early) > 1:
            given_up.append(early.pop_oldest().statement.outcome_id)
    assert given_up == ["o10", "o11", "o12"]
    assert [outcome.statement.outcome_id for outcome in early.pop(3)] == ["o9"]
