"""The steps of sessions and the join as the dataflow has them, in batches, resumed from what was stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from aftercall.contracts.session_calls import SessionTimes
from flows.dataflow.gathering import Gathering
from flows.dataflow.session_shards import to_join, to_sessions
from flows.dataflow.shards import SHARDS, to_shards
from models import plain
from models.contracts import ContractJudge, SessionRulebook
from models.join import Arrivals
from models.sessions import SessionErasure, SessionShard, merged_sessions
from oracle.contracts import contract_set
from oracle.direct import Direct, join_rules
from oracle.session_direct import rules_of

if TYPE_CHECKING:
    from connectors.batch import Batch
    from models.messages import Erasure
    from models.sessions import SessionPart
    from oracle.records import Rules


@dataclass
class SessionDirect(Direct):
    """The join of all shards behind the shards of sessions, with contracts."""

    drawn: Rules | None = None
    sessions: dict[str, SessionShard] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.drawn is not None
        self._session_rules = rules_of(self.drawn)
        self._times = SessionTimes(self._session_rules.wait(), self._session_rules.hold())
        self._contracts = contract_set(self.drawn.contracts)
        self.sessions = {shard: SessionShard(self._session_rules, book=self._book()) for shard in SHARDS}
        self._gathering = {shard: Gathering(len(SHARDS)) for shard in SHARDS}
        self._parts: dict[str, list[bytes]] = {shard: [] for shard in SHARDS}

    def _book(self) -> SessionRulebook:
        return SessionRulebook(self._contracts, self._times, "all")

    def step(self, batch: Batch) -> None:
        """Take one batch through both steps."""
        messages: list[Any] = list(to_shards(batch))
        for shard, part in to_sessions(batch):
            messages += to_join((shard, self._taken(shard, part)))
        for shard, message in messages:
            for arrivals in self.gathered(message):
                assert isinstance(arrivals, Arrivals)
                self._take(self.joins[shard].process(arrivals))
                self._store(shard)
        for shard in SHARDS:
            self._keep(shard)

    def gathered(self, message: Any) -> list[Arrivals | Erasure]:
        """What the shard of the join that gets a message can take with it."""
        return list(self._gathering[message.shard].add(message))

    def _taken(self, shard: str, part: SessionPart | SessionErasure) -> Any:
        sessions = self.sessions[shard]
        return sessions.erase(part) if isinstance(part, SessionErasure) else sessions.process(part)

    def _keep(self, shard: str) -> None:
        sessions, stored = self.sessions[shard], self._parts[shard]
        if sessions.unstored < 0 or not stored:
            stored[:] = [plain.pack(sessions.state())]
        else:
            stored.append(plain.pack(sessions.changes()))

    def resume(self) -> None:
        """Go on from what was stored."""
        super().resume()
        self._gathering = {shard: Gathering(len(SHARDS)) for shard in SHARDS}
        for shard in SHARDS:
            state, *changes = map(plain.unpack, self._parts[shard])
            whole = merged_sessions(state, changes)
            self.sessions[shard] = SessionShard.from_state(whole, self._session_rules, book=self._book())


def session_direct(rules: Rules) -> SessionDirect:
    """The steps with what judges by the contracts of the rules; all results have rows."""
    judge = ContractJudge(contract_set(rules.contracts), msgspec.to_builtins, "never", "all")
    return SessionDirect(join_rules(rules), judge=judge, drawn=rules)
