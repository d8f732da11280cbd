"""Measures calls of agents where they are made, and hands them to the emitter as events.

What runs on the response path only takes references, times and ids; `event.py`, `usage.py` and `failures.py` run later,
on the sender thread. Nothing here imports more than a few modules of the standard library.
"""
