"""What false alarms at known moments may cost, and how much of it each look gets.

A test at a known moment is asked a few times, and only where something has begun. So its promise is not spread over
time but kept in an account, one for all groups: each group pays in for each week in which it has trials, as the week
begins, and each look takes a share of what is there.

**What is promised.** Look k of a moment alarms falsely with probability at most its alpha_k, a p-value being what it
is, and alpha_k was settled before its outcomes came. So of moments without a change, as many alarm falsely on average
as all their looks were given. A look that alarms gives back all that its moment has paid, so that changes that are real
cost nothing; one that alarms falsely does so too, which is why alpha is bounded: with B the most that a moment can
pay, the expected number V of false alarms is at most what was paid in + B V, hence at most what was paid in over 1 - B.
"""

from __future__ import annotations

import math
from typing import Final

ALPHA_GRAIN: Final = 2.0**-40
"""Alpha is counted in multiples of this, so that sums are exact in any order."""
LOOK_LEVELS: Final = tuple(math.ceil(8 * 1.5**k) for k in range(20))
"""Trials since a moment at which it is looked at, 8 to 17,735: each half as many again."""
LOOK_SHARE: Final = 1 / 20
"""Of what is in the account, a look takes this."""
MOST_ALPHA: Final = 0.0005
"""A look takes no more: so of new configs that are as good as their parent at most 1 in 100 alarms, ever."""
OF_FALLS: Final = 0.8
"""Of a look's alpha, for a fall of the success rate; the rest is for a rise, which wakes up fewer people."""


class AlphaAccount:
    """The alpha that there is, in multiples of `ALPHA_GRAIN`, as what is paid in must be.

    >>> account = AlphaAccount()
    >>> account.pay_in(2.0**-10)
    >>> round(account.take(), 9), round(account.balance, 9)
    (4.8828e-05, 0.000927734)
    """

    def __init__(self, balance: float = 0.0) -> None:
        """Start with what another instance had."""
        self.balance = balance

    def pay_in(self, alpha: float) -> None:
        """A group's week begins, or a look has alarmed and gives back what its moment has paid."""
        self.balance += alpha

    def take(self) -> float:
        """The alpha of the next look."""
        alpha = math.floor(min(LOOK_SHARE * self.balance, MOST_ALPHA) / ALPHA_GRAIN) * ALPHA_GRAIN
        self.balance -= alpha
        return alpha
