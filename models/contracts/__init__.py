"""Judges calls by contracts: numbers as columns, the rest record by record, texts as the lane has found them."""

from __future__ import annotations

from models.contracts.judge import ContractJudge
from models.contracts.session_book import SessionRulebook

__all__ = ["ContractJudge", "SessionRulebook"]
