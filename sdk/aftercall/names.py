"""Makes one name of several spellings that look alike on a screen.

Names of task types, models and configs come through many hands: a file saved with a byte order mark, a name copied from
a page, a typed blank. Each spelling would be a group of its own, with rates, alarms and a share of the traffic.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

NAMES: Final = ("task_type", "model", "config")
"""The fields of a call that are such names."""
_INVISIBLE: Final = re.compile(
    "[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""Controls that are no blanks, and what Unicode calls `Default_Ignorable_Code_Point`."""


def plain_name(name: str) -> str:
    r"""A name without invisible characters and without blanks around it, in Unicode's form NFC.

    >>> plain_name("\ufeffgpt-4o\u200b "), plain_name("Re\u0301sume\u0301") == "R\u00e9sum\u00e9"
    ('gpt-4o', True)
    """
    if name.isascii() and name.isprintable():
        return name.strip()
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", name).strip())


def label_of(name: str) -> str:
    """The label in `attrs` that has a name as it was sent, where it was changed.

    >>> label_of("model")
    'model_as_sent'
    """
    return f"{name}_as_sent"
