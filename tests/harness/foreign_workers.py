"""Servers and queues of work that fork: gunicorn, Celery, RQ, in an environment of their own beside the SDK.

Not in the group `foreign`, whose versions are settled together with the pipeline's: Celery and RQ need an older
python-dateutil.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.foreign import python_with

PACKAGES: Final = ("celery==5.7.0", "fakeredis==2.41.0", "gunicorn==27.0.1", "pydantic>=2.12,<3", "rq==3.0.0")


def workers_python(folder: Path) -> Path:
    """The interpreter of this environment; see `python_with`."""
    return python_with(folder, "workers", PACKAGES)
