"""Stores requests to erase calls, and cleans the recovery store of their old pages."""
