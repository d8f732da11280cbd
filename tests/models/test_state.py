"""An envelope is read whole, for the step, key, version and secret it was made for, or refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version as release
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.errors import UsageError, UserError
from models.state import FORMAT, SECRET, Envelopes, StateError, check_river, check_version, is_envelope, reading

SECRETS = (None, b"s" * SECRET.start, b"t" * (SECRET.stop - 1))
STATE = {"calls": (1, 2), ("a", None): np.arange(3)}
BOTH = pytest.mark.parametrize("secret", [None, b"s" * 32], ids=["unkeyed", "keyed"])


def sentence(attempt: Callable[[], Any]) -> str:
    """Of the StateError that it must raise."""
    with pytest.raises(StateError) as refused:
        attempt()
    text = str(refused.value)
    assert "\n" not in text
    return text


@given(st.sampled_from(SECRETS), st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 99), st.binary())
def test_what_was_packed_is_read_back(secret: bytes | None, key: str, version: int, content: bytes) -> None:
    envelopes = Envelopes(secret)
    stored = envelopes.pack("join", key, version, {"content": content})
    assert is_envelope(stored)
    assert envelopes.unpack(stored, "join", version, key=key) == {"content": content}
    envelope = envelopes.read(stored, "join")
    assert (envelope.step, envelope.key, envelope.version) == ("join", key, version)


@BOTH
def test_an_envelope_that_is_read_and_sealed_has_the_same_bytes(secret: bytes | None) -> None:
    envelopes = Envelopes(secret)
    stored = envelopes.pack("join", "3", 2, STATE)
    assert envelopes.seal(envelopes.read(stored, "join", "3", "a place")) == stored


@BOTH
def test_every_bit_that_flips_is_found(secret: bytes | None) -> None:
    envelopes = Envelopes(secret)
    stored = envelopes.pack("join", "3", 2, STATE)
    for bit in range(8 * len(stored)):
        flipped = bytearray(stored)
        flipped[bit // 8] ^= 1 << bit % 8
        assert sentence(lambda: envelopes.read(bytes(flipped), "join")).startswith("step 'join': ")  # noqa: B023


@BOTH
def test_every_cut_and_anything_after_the_end_is_found(secret: bytes | None) -> None:
    envelopes = Envelopes(secret)
    stored = envelopes.pack("join", "3", 2, STATE)
    for damaged in (*(stored[:end] for end in range(len(stored))), stored + b"\0", stored + stored):
        assert "it is damaged" in sentence(lambda: envelopes.read(damaged, "join"))  # noqa: B023


@given(st.binary())
def test_random_bytes_are_refused(stored: bytes) -> None:
    sentence(lambda: Envelopes().read(stored, "join"))


@pytest.mark.parametrize(
    "made_up",
    [None, 7, (), (1,) * 7, (FORMAT, "join", "3", 2, "sha1", b"", b""), (FORMAT, "join", "3", "2", "xxh3", b"", b""),
     (FORMAT, "join", "3", 2, "xxh3", "text", b""), (FORMAT, {}, {}, 2, "xxh3", b"", b""),
     (FORMAT, "join", "3", 2, None, b"", b""), (FORMAT, "join", "3", 2, {}, b"", b""),
     ("aftercall-state-2", "join", "3", 2, "xxh3", b"", b"")],
    ids=repr,
)  # fmt: skip
def test_an_array_that_is_no_envelope_is_refused(made_up: Any) -> None:
    sentence(lambda: Envelopes().read(msgpack.packb(made_up), "join"))


def test_an_envelope_whose_key_is_no_text_is_refused() -> None:
    """Its checksum is right: one without a secret can be made up."""
    odd: Any = {}
    stored = Envelopes().pack("join", odd, 2, STATE)
    sentence(lambda: Envelopes().read(stored, "join", "3"))


def test_a_state_of_another_step_or_key_is_refused() -> None:
    stored = Envelopes().pack("join", "3", 2, STATE)
    assert "must hold the state of groups; it holds join/3" in sentence(lambda: Envelopes().read(stored, "groups"))
    assert "must hold the state of join/4; it holds join/3" in sentence(lambda: Envelopes().read(stored, "join", "4"))
    named = sentence(lambda: Envelopes().read(stored, "join", "4", "file, row 5"))
    assert named.startswith("file, row 5: ")


@pytest.mark.parametrize("found", [0, 1, 3, 99])
def test_another_version_without_a_migration_is_refused_with_both_numbers(found: int) -> None:
    stored = Envelopes().pack("join", "3", found, STATE)
    for steps in (None, {}, {7: dict}):
        text = sentence(lambda: Envelopes().unpack(stored, "join", 2, steps))  # noqa: B023
        assert f"must have version 2; got {found}" in text


def test_migrations_run_in_order_from_the_version_found() -> None:
    steps: Any = {found: lambda state, found=found: (*state, found) for found in (1, 2, 3)}
    for found in (1, 2, 3, 4):
        stored = Envelopes().pack("join", "3", found, ())
        assert Envelopes().unpack(stored, "join", 4, steps) == tuple(range(found, 4))


def test_a_chain_of_migrations_with_a_gap_is_refused_with_the_version_found() -> None:
    stored = Envelopes().pack("join", "3", 1, ())
    assert "got 1" in sentence(lambda: Envelopes().unpack(stored, "join", 4, {1: list, 3: list}))


@pytest.mark.parametrize("wrong", [KeyError("a\nb"), TypeError(), ZeroDivisionError("0"), StateError("it says so")])
def test_a_migration_that_fails_is_one_sentence(wrong: Exception) -> None:
    def failing(state: Any) -> Any:
        raise wrong

    stored = Envelopes().pack("join", "3", 1, {})
    sentence(lambda: Envelopes().unpack(stored, "join", 2, {1: failing}))


def test_a_body_that_is_not_of_plain_values_is_one_sentence() -> None:
    envelope = Envelopes().read(Envelopes().pack("join", "3", 1, {}), "join")
    stored = Envelopes().seal(envelope._replace(body=b"\xc1"))
    assert sentence(lambda: Envelopes().unpack(stored, "join", 1)).startswith("step 'join': ")


def test_an_envelope_of_another_secret_is_refused() -> None:
    stored = Envelopes(b"s" * 32).pack("join", "3", 2, STATE)
    text = sentence(lambda: Envelopes(b"t" * 32).read(stored, "join"))
    assert "it is damaged, or was made with another key" in text


def test_a_keyed_envelope_is_refused_without_the_secret() -> None:
    stored = Envelopes(b"s" * 32).pack("join", "3", 2, STATE)
    text = sentence(lambda: Envelopes().read(stored, "join"))
    assert "has a checksum made with a key; set service.state_key_file to the file of that key" in text


def test_an_unkeyed_envelope_is_refused_where_there_is_a_secret() -> None:
    stored = Envelopes().pack("join", "3", 2, STATE)
    text = sentence(lambda: Envelopes(b"s" * 32).read(stored, "join"))
    assert "must carry a checksum made with service.state_key_file" in text
    assert "--accept-unsealed-state" in text


def test_the_kind_of_checksum_cannot_be_taken_from_the_envelope() -> None:
    """A keyed one relabelled as unkeyed, and the reverse."""
    for secret, label in ((b"s" * 32, "xxh3"), (None, "blake2b")):
        stored = list(msgpack.unpackb(Envelopes(secret).pack("join", "3", 2, STATE)))
        stored[4] = label
        for reader in (Envelopes(), Envelopes(b"s" * 32)):
            sentence(lambda: reader.read(msgpack.packb(stored), "join"))  # noqa: B023


@pytest.mark.parametrize(
    "wrong", [KeyError("a"), IndexError(), TypeError("b"), ValueError("c\nd"), AttributeError("e"), OverflowError()]
)
def test_an_error_of_what_is_in_a_state_becomes_one_sentence(wrong: Exception) -> None:
    def attempt() -> None:
        with reading("step 'join'"):
            raise wrong

    text = sentence(attempt)
    assert text.startswith("step 'join': ")
    assert repr(wrong) in text


@pytest.mark.parametrize(
    "passing", [UserError("one"), UsageError("two"), StateError("three"), MemoryError(), OSError("disk")], ids=repr
)
def test_an_error_that_the_state_did_not_cause_passes(passing: Exception) -> None:
    with pytest.raises(type(passing)) as raised, reading("step 'join'"):
        raise passing
    assert raised.value is passing


def test_only_detectors_of_the_installed_river_are_read() -> None:
    check_river({"river": None}, "drift")
    check_river({"river": release("river")}, "drift")
    text = sentence(lambda: check_river({"river": "0.1.0"}, "drift"))
    assert "install river==0.1.0" in text
    assert release("river") in text


def test_only_a_part_of_the_same_version_is_read() -> None:
    check_version({"version": 2}, "drift", 2)
    for part in ({"version": 1}, {"version": 3}, {}):
        assert "must have version 2" in sentence(lambda: check_version(part, "drift", 2))  # noqa: B023
