"""Judges calls by contracts at their producer, after the response, so that texts need not leave the process.

`guard.py` is what producers call, `guarded_call.py` one call on its way, `judging.py` what contracts make of it;
`worker.py` does that on one thread, `runner.py` runs the user's own code on another, `counts.py` accounts for calls.
Importing the package loads nothing.
"""
