"""Finds kinds of data that must not stand in a text: each by its form, and by check digits where it has some."""
