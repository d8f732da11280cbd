"""Gathers, before one shard of the join, a batch's own part and the answers of all session shards to it.

The join takes a batch when all of these are there. So its watermark cannot pass what a session shard has yet to
resolve: to be greater than an instant it needs the same batches of the same lanes. Between two shards messages keep
their order, and at the end of an epoch nothing is between the steps, so what waits here is no state.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from itertools import chain

from models.join import Answer, Arrivals
from models.messages import Erasure


class Gathering:
    """The batches of one shard of the join on their way."""

    def __init__(self, answers: int) -> None:
        """`answers`: so many session shards answer each batch; with none, batches are taken as they come."""
        self._answers = answers
        self._own: defaultdict[str, deque[Arrivals | Erasure]] = defaultdict(deque)
        self._answered: Counter[tuple[str, int]] = Counter()
        """By lane and number of the batch, how many answers there are."""
        self._said: defaultdict[tuple[str, int], list[Answer]] = defaultdict(list)
        self._early = list[Answer]()
        """Those with statements or checks that may be about calls in batches that have not been taken yet."""
        self._taken: Counter[str] = Counter()

    def add(self, message: Arrivals | Erasure | Answer) -> Iterator[Arrivals | Erasure]:
        """Take a message; what can be taken by the join now, in order."""
        if isinstance(message, Answer):
            place = message.lane, message.number
            self._answered[place] += 1
            if message.made is not None or message.checks:
                self._said[place].append(message)
        else:
            self._own[message.lane].append(message)
        own = self._own[message.lane]
        while own:
            first = own[0]
            if isinstance(first, Erasure):
                yield first
            else:
                place = message.lane, self._taken[message.lane] + 1
                if self._answers and self._answered[place] < self._answers:
                    return
                yield self._with_statements(first, place)
            own.popleft()

    def _with_statements(self, arrivals: Arrivals, place: tuple[str, int]) -> Arrivals:
        """The batch, which is taken now, with the statements whose calls are there."""
        self._answered.pop(place, None)
        self._taken[place[0]] = place[1]
        waiting = self._early + self._said.pop(place, [])
        if not waiting:
            return arrivals
        ready, early = list[Answer](), list[Answer]()
        for one in waiting:
            is_ready = all(self._taken[lane] >= number for lane, number in one.taken.items())
            (ready if is_ready else early).append(one)
        self._early = [one.at_the_end() for one in early]
        made = tuple(one.made for one in ready if one.made is not None)
        return arrivals._replace(made=made, session_checks=tuple(chain.from_iterable(one.checks for one in ready)))
