"""Defines the claim of a service on its topics: one record in a compacted topic, by which a second service is noticed.

The claim's key is made of cluster, group and topics. Its newest record shows who has them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Literal, NamedTuple

from xxhash import xxh3_64_hexdigest

TRANSACTIONAL_ID: Final = "aftercall-claim-"
"""What the transactional ids of all claims begin with: rights can be granted by this prefix."""
BEAT_S: Final = 5.0
"""Seconds between the heartbeats of a claim."""
_MOST_EARLIER: Final = 64

Judgement = Literal["free", "ours", "watch", "behind"]


class Owner(NamedTuple):
    """Who claims topics.

    Attributes:
        run_id: of the run in the folder; a copy of the folder has the same.
        folder: the output folder, absolute.
        host: the host's name.
    """

    run_id: str
    folder: str
    host: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A record of the claim's key.

    Attributes:
        run_id: as in `Owner`, like `folder` and `host`.
        incarnation: of the claim; each start raises it. Two starts never have the same.
        stored: the incarnation that the folder had on its disk when this was written: first that of the start before.
        folder: see above.
        host: see above.
        since: when the service took the claim, RFC 3339, by its host's clock.
        released: the service has ended in order.
        earlier: what `stored` was last of other runs that had the topics before, by their `run_id`: the newest 64.
    """

    run_id: str
    incarnation: int
    stored: int
    folder: str
    host: str
    since: str
    released: bool = False
    earlier: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The record's value."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, value: bytes) -> Claim:
        """Read a record's value; fields of later versions are left out.

        Raises:
            ValueError: it is not one.
        """
        try:
            found = json.loads(value)
            return cls(**{name: found[name] for name in cls.__dataclass_fields__ if name in found})
        except (TypeError, KeyError, AttributeError) as wrong:
            raise ValueError(f"must be a claim; {wrong}") from None

    @property
    def holder(self) -> str:
        """Who this is, in words."""
        return f"run {self.run_id} in {self.folder} on host {self.host}, since {self.since}"

    def is_of(self, owner: Owner) -> bool:
        """Whether it was made in this folder on this host, for this run."""
        return Owner(self.run_id, self.folder, self.host) == owner

    def last_stored(self, run_id: str) -> int:
        """The incarnation that a run's folder had on its disk, as far as is known here; 0 of a run that is not."""
        return self.stored if run_id == self.run_id else self.earlier.get(run_id, 0)

    def earlier_than(self, run_id: str) -> dict[str, int]:
        """The `earlier` of a claim of this run that follows."""
        known = {**self.earlier, self.run_id: self.stored}
        known.pop(run_id, None)
        return dict([*known.items()][-_MOST_EARLIER:])

    def same_start(self, other: Claim | None) -> bool:
        """Whether both were written by one start of a service."""
        return other is not None and (self.run_id, self.incarnation) == (other.run_id, other.incarnation)


def claim_key(cluster_id: str, group: str, topics: Sequence[str]) -> str:
    """The key of the claim on these topics."""
    return json.dumps({"cluster": cluster_id, "group": group, "topics": list(topics)})


def transactional_id(key: str) -> str:
    """The transactional id of the claim: a new producer with it ends what the one before may write."""
    return TRANSACTIONAL_ID + xxh3_64_hexdigest(key.encode())


def judge(newest: Claim | None, owner: Owner, stored: int) -> Judgement:
    """What a start must do.

    Args:
        newest: the newest record of the claim; None: there is none.
        owner: who starts.
        stored: the incarnation on the disk of its folder, 0 for a new one.

    Returns:
        `free` or `ours`: it may go on at once. `watch`: another service may be running. `behind`: the run went on in
        another copy of the folder.
    """
    if newest is None:
        return "free"
    if stored < newest.last_stored(owner.run_id):
        return "behind"
    if newest.released:
        return "free"
    return "ours" if newest.is_of(owner) else "watch"
