"""Vectorised containers; they know nothing of calls. Every file is public."""
