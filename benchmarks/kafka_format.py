"""Keeps what Kafka's tool writes into the folder of a new broker, for brokers to come: Java takes a second for it.

That is the versions of Kafka's features, the same for all brokers of one Kafka, and three ids, which are each broker's.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

_FEATURES: Final = "bootstrap.checkpoint"


def keep(records: Path, jars: Path) -> None:
    """Keep what the tool has written into `records` beside the jars that it came from."""
    draft = jars / f"{_FEATURES}.{os.getpid()}"
    shutil.copyfile(records / _FEATURES, draft)
    draft.replace(jars / _FEATURES)


def copied(jars: Path, records: Path, node: str, cluster: str, directory: str) -> bool:
    """Prepare the folder `records` for a node of a cluster as the tool does; False where nothing was kept yet."""
    if not (jars / _FEATURES).exists():
        return False
    records.mkdir(exist_ok=True)
    shutil.copyfile(jars / _FEATURES, records / _FEATURES)
    ids = {"version": "1", "cluster.id": cluster, "node.id": node, "directory.id": directory}
    (records / "meta.properties").write_text("".join(f"{name}={value}\n" for name, value in ids.items()))
    return True
