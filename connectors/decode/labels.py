"""Words the warnings about what was left out of records that were accepted: labels, and documents of tool calls."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

from aftercall.events import MAX_DOCUMENTS, CutDocuments
from aftercall.printable import printable
from aftercall.times import parse_time
from aftercall.wire_parts import MAX_TEXT
from connectors.batch import Warned

DROPPED_LABEL: Final = "dropped_label"
CUT_DOCUMENTS: Final = "cut_documents"
_SUBJECTS: Final = ("calls", "outcomes")
_SHOWN: Final = 60

Lost = str | CutDocuments
"""What a record has lost: a label, by its name, or documents."""
LeftOut = dict[int, tuple[int, str, list[Lost]]]
"""By place in the batch: the kind of a record, its time, and what it has lost."""


def left_out_of(left_out: LeftOut, refused: Container[int]) -> list[Warned]:
    """One warning for each kind of records and of what they lost; those that are `refused` all the same are in none."""
    warnings = []
    for kind, subject in enumerate(_SUBJECTS):
        lost = [
            (parse_time(at), one)
            for row, (of, at, several) in left_out.items()
            if of == kind and row not in refused
            for one in several
        ]
        labels = [(at, one) for at, one in lost if isinstance(one, str)]
        if labels:
            detail = (
                f"attrs of {subject} had labels that are nested or over {MAX_TEXT} characters, first "
                f"'{printable(labels[0][1][:_SHOWN])}': they were left out (make each one text or number)"
            )
            warnings.append(_warned(DROPPED_LABEL, subject, len(labels), [at for at, _ in labels], detail))
        documents = [(at, one.count) for at, one in lost if isinstance(one, CutDocuments)]
        if documents:
            detail = (
                f"tool calls of {subject} had over {MAX_DOCUMENTS} documents: those beyond the first {MAX_DOCUMENTS} "
                "were left out (send the ones that were used; `items` has the number of all)"
            )
            count = sum(more for _, more in documents)
            warnings.append(_warned(CUT_DOCUMENTS, subject, count, [at for at, _ in documents], detail))
    return warnings


def _warned(kind: str, subject: str, count: int, times: Sequence[int], detail: str) -> Warned:
    return Warned(kind, subject, count, min(times), max(times), detail)
