"""One broker for all processes of a test run: a cold one costs each of them seconds of CPU and half a gigabyte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, flock
from pathlib import Path

from benchmarks.kafka_broker import Broker, ClientSettings


@contextmanager
def shared_broker(folder: Path) -> Iterator[ClientSettings]:
    """The settings of librdkafka for a broker that every process with this folder shares.

    The first to come starts it, and waits at its end until the others have ended too; locks go with a process that is
    killed. Where that was the first, the others find no broker any more.
    """
    address = folder / "broker-address"
    with (folder / "broker-starts").open("w") as starts, (folder / "broker-users").open("w") as users:
        flock(starts, LOCK_EX)
        ours = None if address.exists() else Broker(brief=True)
        try:
            if ours is not None:
                ours.start()
                address.write_text(ours.bootstrap, encoding="utf-8")
            flock(users, LOCK_SH)
            flock(starts, LOCK_UN)
            yield {"bootstrap.servers": address.read_text(encoding="utf-8")}
        finally:
            if ours is not None:
                flock(starts, LOCK_EX)
                address.unlink(missing_ok=True)
                flock(users, LOCK_EX)
                ours.kill()  # its records are not needed any more
                ours.close()
