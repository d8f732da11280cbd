"""Writes messy variants of polite cases, by rules and without a model."""
