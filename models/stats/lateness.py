"""Classes of how late calls come: by the time from their own minute to the one in which they take effect.

Class 0 is up to an hour, each further one up to twice as long as the one before, the last beyond 256 hours.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aftercall.times import MINUTES_PER_HOUR
from models.arrays import I32, I64

IN_TIME: Final = 0
TOO_LATE: Final = 9
"""The class of those that are later than any other class allows."""
_ENDS: Final[I64] = MINUTES_PER_HOUR * 2 ** np.arange(TOO_LATE)


def lateness(minutes: I64 | I32) -> I32:
    """Class of each, shape (n,).

    >>> import numpy as np
    >>> lateness(np.array([-5, 0, 60, 61, 24 * 60, 256 * 60, 256 * 60 + 1])).tolist()
    [0, 0, 0, 1, 5, 8, 9]
    """
    return np.searchsorted(_ENDS, minutes).astype(np.int32)
