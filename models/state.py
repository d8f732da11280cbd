"""State that outlives a process: plain values in an envelope, which is checked, and migrated when it is older.

An envelope is msgpack: an array of the format, the step, the key, the version, the kind of checksum, the checksum (128
bits over all the rest) and the body, which is `models.plain` of a mapping. Nothing in it is executed when it is read.
With a secret the checksum is a keyed BLAKE2b (Aumasson et al. 2013, ACNS), which only those who know the secret can
make; without one it is XXH3, against damage.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from importlib.metadata import version as release
from typing import Any, Final, NamedTuple

import msgpack
from xxhash import xxh3_128_digest

from aftercall.errors import NEW_OUT, StateError, UserError
from models import plain
from models.plain import Plain

__all__ = [
    "FORMAT",
    "SECRET",
    "Envelope",
    "Envelopes",
    "Migrations",
    "StateError",
    "check_reachable",
    "check_river",
    "check_version",
    "is_envelope",
    "migrated",
    "reading",
]

FORMAT: Final = "aftercall-state-1"
_HEAD: Final = b"\x97\xb1" + FORMAT.encode()
"""How each envelope begins: an array of seven, and the format."""
_PUT_BACK: Final = f"put the folder back from a copy, or {NEW_OUT}"
SECRET: Final = range(16, 65)
"""How many bytes a secret has; BLAKE2b takes no more."""

Migrations = Mapping[int, Callable[[Plain], Plain]]
"""By version, what makes a state of it one of the next version."""


class Envelope(NamedTuple):
    """What is written on it, and what is in it: `body` is packed. `place` names it in errors."""

    step: str
    key: str
    version: int
    body: bytes
    place: str

    def open(self, version: int, migrations: Migrations | None = None) -> Plain:
        """The state, migrated to `version`.

        Raises:
            StateError: the state is of a later version, or of one that no migration starts from.
        """
        return migrated(self.content(), self.version, version, migrations or {}, self.place)

    def content(self) -> Plain:
        """What is in it, as it was stored.

        Raises:
            StateError: the body is not what `Envelopes.pack` packs.
        """
        with reading(self.place):
            return plain.unpack(self.body)


def migrated(state: Plain, found: int, version: int, migrations: Migrations, place: str) -> Plain:
    """A state of version `found` as one of `version`; `place` names it in errors.

    Raises:
        StateError: it is of a later version, of one that no migration starts from, or not what that version stored.
    """
    check_reachable(found, version, migrations, place)
    for at in range(found, version):
        with reading(place):
            state = migrations[at](state)
    return state


def check_reachable(found: int, version: int, migrations: Migrations, place: str) -> None:
    """Make sure that migrations lead from version `found` to `version`.

    Raises:
        StateError: they do not.
    """
    if found > version or not all(at in migrations for at in range(found, version)):
        raise StateError.of_version(place, version, found)


class Envelopes:
    """Packs and reads envelopes. Cost: one pass over the bytes for the checksum, some 10 GB/s, 1 GB/s with a secret."""

    def __init__(self, secret: bytes | None = None) -> None:
        """`secret`: of the checksum, 16 to 64 bytes; None for one that anybody can make."""
        self._secret = secret
        self._kind = "xxh3" if secret is None else "blake2b"

    @property
    def kind(self) -> str:
        """The kind of checksum: `xxh3` or `blake2b`."""
        return self._kind

    def pack(self, step: str, key: str, version: int, state: Plain) -> bytes:
        """The envelope of a state of plain values and arrays.

        Raises:
            TypeError: the state holds something else.
        """
        return self.seal(Envelope(step, key, version, plain.pack(state), ""))

    def seal(self, envelope: Envelope) -> bytes:
        """The bytes of an envelope."""
        head = (FORMAT, envelope.step, envelope.key, envelope.version, self._kind)
        checksum = self._checksum(self._kind, head, envelope.body)
        packed: bytes = msgpack.packb((*head, checksum, envelope.body), buf_size=len(envelope.body) + 1024)
        return packed

    def read(self, stored: bytes, step: str, key: str | None = None, place: str = "") -> Envelope:
        """Check an envelope; its body is not looked at yet.

        Args:
            stored: what `pack` gave.
            step: for which it must be.
            key: for which it must be; None for any.
            place: what to call it in errors; `step '...'` if empty.

        Raises:
            StateError: it is none, it is damaged, it belongs elsewhere, or its checksum was made without the secret.
        """
        place = place or f"step {step!r}"
        try:
            *head, checksum, body = msgpack.unpackb(stored, use_list=False)
            form, found_step, found_key, version, kind = head
            texts = all(isinstance(part, str) for part in (form, found_step, found_key, kind))
            whole = texts and isinstance(checksum, bytes) and isinstance(body, bytes) and isinstance(version, int)
        except (msgpack.UnpackException, ValueError, TypeError):
            raise StateError(f"{place}: stored state must be whole; it is damaged ({_PUT_BACK})") from None
        if not whole or form != FORMAT or kind not in {"xxh3", "blake2b"}:
            raise StateError(f"{place}: stored state must be of the form {FORMAT}; it is not ({_PUT_BACK})")
        if kind != self._kind:
            raise StateError(_other_kind(place, kind))
        if not hmac.compare_digest(checksum, self._checksum(kind, tuple(head), body)):
            what = "it is damaged" if self._secret is None else "it is damaged, or was made with another key"
            raise StateError(f"{place}: stored state must match its checksum; {what} ({_PUT_BACK})")
        if found_step != step or key not in {None, found_key}:
            wanted = step if key is None else f"{step}/{key}"
            raise StateError(
                f"{place}: must hold the state of {wanted}; it holds {found_step}/{found_key} ({_PUT_BACK})"
            )
        return Envelope(found_step, found_key, version, body, place)

    def unpack(
        self, stored: bytes, step: str, version: int, steps: Migrations | None = None, *, key: str | None = None
    ) -> Plain:
        """The state in an envelope, migrated to `version` by `steps`.

        Raises:
            StateError: see `read` and `Envelope.open`.
        """
        return self.read(stored, step, key).open(version, steps)

    def _checksum(self, kind: str, head: tuple[Any, ...], body: bytes) -> bytes:
        written = msgpack.packb(head)
        if kind == "xxh3":
            return bytes(xxh3_128_digest(xxh3_128_digest(written) + xxh3_128_digest(body)))
        return blake2b(written + body, digest_size=16, key=self._secret or b"").digest()


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn the errors of reading a state that holds something else than it should into one sentence.

    Raises:
        StateError: the block failed by what is in the state; errors of users pass as they are.
    """
    try:
        yield
    except UserError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as wrong:
        raise StateError(
            f"{place}: stored state must hold what this version stores; it does not: {wrong!r} ({_PUT_BACK})"
        ) from wrong


def is_envelope(stored: bytes) -> bool:
    """Whether bytes begin as an envelope does."""
    return stored.startswith(_HEAD)


def _other_kind(place: str, kind: str) -> str:
    if kind == "xxh3":
        return (
            f"{place}: stored state must carry a checksum made with service.state_key_file; it has one without a key "
            "(if you trust the folder, start once with --accept-unsealed-state)"
        )
    return f"{place}: stored state has a checksum made with a key; set service.state_key_file to the file of that key"


def check_version(state: Mapping[str, Any], step: str, version: int) -> None:
    """Make sure that this version wrote a part of a state that keeps a version of its own.

    Raises:
        StateError: another one did.
    """
    if state.get("version") != version:
        raise StateError.of_version(f"step {step!r}", version, state.get("version"))


def check_river(kept: Mapping[str, Any], step: str) -> None:
    """Make sure that the detectors in a part of a step's state are of the river that is installed.

    Args:
        kept: the part; `river` is the version of river that wrote its detectors, None where it has none.
        step: the step's name.

    Raises:
        StateError: another version of river wrote them, so they cannot be trusted.
    """
    if kept["river"] not in {None, release("river")}:
        raise StateError(
            f"step {step!r}: the stored state holds detectors of river {kept['river']}; river {release('river')}, "
            f"which is installed, must not read them (install river=={kept['river']}, or {NEW_OUT})"
        )
