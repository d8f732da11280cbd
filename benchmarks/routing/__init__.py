"""Lost successes of a gateway that follows routing, ours and that of others, in worlds with a known truth.

The real objects decide (`ours.py`), on messages made of minutes (`minutes.py`), in a loop with the world (`world.py`).
`scenarios.py` has the worlds, `peers.py` the other policies.
"""
