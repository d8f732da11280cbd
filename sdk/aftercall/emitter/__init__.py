"""Emits events in the background: bounded queue, one daemon thread, a spool on disk, a transport.

`emitter.py` is what producers call; `tally.py` accounts for every event; `intake.py` brings events from the queue into
the spool, `delivery.py` from the spool to the transport, `sender.py` is the thread that does both; `spool_file.py` and
`memory_spool.py` keep events, `folder.py` finds those of dead processes; `process.py` follows forks and exits.
"""

from __future__ import annotations

from aftercall.emitter.emitter import Emitter
from aftercall.emitter.tally import Stats

__all__ = ["Emitter", "Stats"]
