"""Tell in one number, with its interval, how far an agent can be trusted now, and what moved it."""

from __future__ import annotations

from models.trust.settings import TrustSettings
from models.trust.trust import Trust

__all__ = ["Trust", "TrustSettings"]
