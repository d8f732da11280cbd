"""Finds outcomes that wait for a call that is there, under an id in another spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aftercall.printable import printable
from connectors.batch import Warned
from connectors.decode.uuids import BESIDE
from connectors.snapshot.publish import Publication

ALIKE_IDS: Final = "alike_ids"


def alike_ids(waiting: Mapping[str, int], publication: Publication, at: int) -> list[Warned]:
    """The warning, or none. `waiting`: outcomes by the id they name; `at`: the watermark, us. O(calls)."""
    pairs = publication.spelled_like(list(waiting), BESIDE)
    if not pairs:
        return []
    count, (sent, held) = sum(waiting[one] for one, _ in pairs), pairs[0]
    names = f"{count:,} waiting outcomes name" if count > 1 else "1 waiting outcome names"
    remedy = '(send one spelling; for UUIDs, [join] id_form = "uuid" is enough)'
    detail = (
        f"{names} a call whose id differs only by case, dashes or braces (or blanks, or urn:uuid:), such as "
        f"'{printable(sent)}' for '{printable(held)}' {remedy}"
    )
    return [Warned(ALIKE_IDS, "call_id", count, at, at, detail)]
