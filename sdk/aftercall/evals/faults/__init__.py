"""Breaks tools on purpose, seeded and by share, and names what an agent then did."""
