"""Reads and writes JSON Lines files."""
