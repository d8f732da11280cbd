"""Chooses where events go, by the arguments of a client, else by the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aftercall.routes import RecommendationSource
    from aftercall.transports.transport import Transport

_TRANSPORTS: Final = {
    "kafka": ("aftercall.transports.kafka", "KafkaTransport"),
    "url": ("aftercall.transports.http", "HttpTransport"),
    "file": ("aftercall.transports.file", "FileTransport"),
}
_RECOMMENDATIONS: Final = "recommendations.jsonl"
_OF_EVERY_CLIENT: Final = ("security.", "sasl.", "ssl.", "enable.ssl", "client.", "broker.", "socket.", "metadata.")
"""How settings of librdkafka begin that producers and consumers share; of others a consumer would warn."""
DISABLED: Final = "AFTERCALL_DISABLED"
_YES: Final = frozenset({"1", "true", "yes", "on"})
_VARIABLES: Final = {"kafka": "AFTERCALL_KAFKA", "url": "AFTERCALL_URL", "file": "AFTERCALL_FILE"}


def is_disabled() -> bool:
    """Whether the environment switches every client off."""
    return os.environ.get(DISABLED, "").strip().lower() in _YES


def chosen(kafka: str | None, url: str | None, file: str | os.PathLike[str] | None) -> tuple[str, str] | None:
    """The kind and the address of the destination: the arguments in this order, else the environment's; None: none."""
    given = {"kafka": kafka, "url": url, "file": file}
    for kind, address in given.items():
        if address is not None:
            return kind, os.fspath(address)
    for kind, variable in _VARIABLES.items():
        address = os.environ.get(variable, "").strip()
        if address and not address.startswith("{"):  # that is a section of the pipeline's settings
            return kind, address
    return None


def transport_of(
    destination: tuple[str, str] | None, given: Transport | None, settings: Mapping[str, Any]
) -> Transport | Callable[[], Transport]:
    """A function that gives the transport; the sender thread calls it, so that libraries load there.

    No fork happens while it runs: a child would have modules that are half imported for ever. So it loads what makes
    events, too. A transport for tests is given as it is: it works on the caller's thread.
    """
    if given is not None and getattr(given, "at_once", False):
        return given
    kind, address = destination or ("", "")

    def make() -> Transport:
        import_module("aftercall.capture.event")
        if given is not None:
            return given
        module, name = _TRANSPORTS[kind]
        transport = getattr(import_module(module), name)
        made: Transport = transport(address) if kind == "file" else transport(address, dict(settings))
        return made

    return make


def recommendations_of(destination: tuple[str, str] | None, settings: Mapping[str, Any]) -> RecommendationSource | None:
    """Where recommendations come from, if the destination has some: its broker, or a file beside the events."""
    if destination is None or destination[0] == "url":
        return None
    kind, address = destination
    if kind == "kafka":
        from aftercall.routes import KafkaSource

        shared = {name: value for name, value in settings.items() if name.startswith(_OF_EVERY_CLIENT)}
        return KafkaSource(address, settings=shared)
    from aftercall.routes import FileSource

    return FileSource(os.path.join(address, _RECOMMENDATIONS))  # noqa: PTH118  # without pathlib
