"""Alarms of the detectors as values, and which of them are open."""
