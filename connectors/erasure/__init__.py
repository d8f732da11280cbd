"""Requests to erase calls, and the pages of the recovery store that may still hold them."""
