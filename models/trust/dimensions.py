"""Numbers the dimensions of trust."""

from __future__ import annotations

from typing import Final

from aftercall.trust_record import TRUST_WEIGHTS

TRUST_DIMENSIONS: Final = tuple(TRUST_WEIGHTS)
"""In the order of all arrays over dimensions."""
WEIGHTS: Final = tuple(TRUST_WEIGHTS.values())
ACCURACY, RELIABILITY, ACCEPTANCE = map(TRUST_DIMENSIONS.index, ("accuracy", "reliability", "acceptance"))
JUDGED: Final = (ACCURACY, ACCEPTANCE)
"""They rest on what others say after the call; all others are known with the call."""
CALL_ERROR: Final = "call_error"
"""What stands in place of a rule where calls fail by their own error."""
