"""Stores requests to erase calls, and removes old state from the recovery store."""
