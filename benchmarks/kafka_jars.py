"""Finds what a Kafka broker needs: Java 17, and jars that Maven copies to `.kafka/`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / "deploy" / "kafka"
POM = FILES / "pom.xml"
JAVA = 17
DOWNLOAD_S = 600.0
_CACHE = ROOT / ".kafka"


class BrokerError(Exception):
    """The broker cannot run; one sentence with what is missing or went wrong, and the remedy."""


def java() -> str:
    """The path of a Java that is new enough.

    Raises:
        BrokerError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    where = "in $JAVA_HOME/bin" if home else "on the path"
    if path is None:
        raise BrokerError(f"a Kafka broker needs Java {JAVA} or newer; there is no `java` {where}")
    version = _version(path)
    if version is None or version < JAVA:
        is_one = f"is {version}" if version is not None else "prints no version"
        raise BrokerError(f"a Kafka broker needs Java {JAVA} or newer; the one {where} {is_one}")
    return path


@cache
def _version(java: str) -> int | None:
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=DOWNLOAD_S)
    version = re.search(r'version "(\d+)', printed.stderr)
    return int(version[1]) if version else None


def jars() -> Path:
    """The folder of the jars that deploy/kafka/pom.xml names; the first use downloads 43 MB.

    Processes that call it at the same time wait for each other.

    Raises:
        BrokerError: the jars are missing, and there is no Maven, or it could not download them.
    """
    folder = _folder()
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError("a Kafka broker needs Maven, once, to fetch its jars; there is no `mvn` on the path")
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _copy(maven, folder)
    return folder


def _folder() -> Path:
    """The folder of the jars, named after the content of the pom, so that another version gets other jars."""
    return _CACHE / f"jars-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"


def _copy(maven: str, folder: Path) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={partial}"]
    try:
        done = subprocess.run(
            [maven, "-B", "-q", "-f", str(POM), *goal],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BrokerError(f"Maven did not fetch Kafka's jars within {DOWNLOAD_S:g} s; try again") from None
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if "[ERROR]" in line]
        raise BrokerError(f"Maven could not fetch Kafka's jars: {errors[0] if errors else done.stderr[-500:]}")
    partial.rename(folder)
