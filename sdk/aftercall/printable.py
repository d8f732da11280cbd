"""Escapes what a terminal would execute: control codes in names and texts, which come from producers.

ESC and the C1 controls begin commands of a terminal, which may hide lines, set its title or answer in the user's name;
other codes turn the direction of writing.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""The text on one line, with each code point that is not printable as its escape.

    >>> printable("a\x1b[31mred\nb\u202e")
    'a\\x1b[31mred\\nb\\u202e'
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def printable_json(text: str) -> str:
    r"""A JSON document of the same meaning in which all that is not printable is escaped; line ends stay.

    >>> printable_json('{"a": "\x9b31m"}')
    '{"a": "\\u009b31m"}'
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(char if char == "\n" or char.isprintable() else _json_escape(char) for char in text)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
