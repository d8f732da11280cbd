"""Keeps the classes of a broker as Java has loaded and checked them, for starts that take half the CPU.

Java 17 calls that an archive for class data sharing. It is made once, by a broker that starts and stops for it, beside
the jars. A Java that cannot use it, as it is another one, starts as if there were none.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

NAME = "broker.jsa"


def archived(jars: Path, make: Callable[[str], None]) -> str:
    """The option of Java that takes the archive.

    Processes that call it at the same time wait for each other.

    Args:
        jars: the folder of the jars.
        make: starts and stops a broker with this option of Java, which writes the archive. It takes 7 s of CPU.
    """
    archive = jars / NAME
    with (jars / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            partial = archive.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            make(f"-XX:ArchiveClassesAtExit={partial}")
            partial.touch()  # where Java could not write it, an empty one, so that no other start tries
            partial.rename(archive)
    return f"-XX:SharedArchiveFile={archive}"
