"""Checks numbers that have check digits or rules: cards, IBANs, US social security numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from aftercall.contracts.texts.restricted.detector import TooManyError, is_of_word

CARD_DIGITS: Final = range(13, 20)
_MOST_GROUPS: Final = 5
_FIRST_GROUP: Final = 4
_MOST_OF_RUN: Final = 1000
_DOUBLED: Final = bytes(sum(divmod(2 * digit, 10)) for digit in range(10))
_ISSUERS: Final = re.compile(
    r"4|5[0-8]|6|3[4-9]|30|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"  # ranges of ISO/IEC 7812 that payment cards have
)
IBAN_LENGTHS: Final = {
    country: int(length)
    for length, countries in {
        "15": "NO",
        "16": "BE BI",
        "18": "DK FO FI GL NL FK",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU XK MN",
        "21": "HR LV LI CH",
        "22": "BH BG CR DE GE GB IE ME RS VA",
        "23": "AE IL IQ TL GI OM SO",
        "24": "AD CZ MD PK RO SA SK ES SE TN VG",
        "25": "PT ST LY",
        "26": "IS TR",
        "27": "FR GR IT MC MR SM DJ BI",
        "28": "AL AZ BY CY DO GT HU LB PL NI SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for country in countries.split()
}
"""Characters of an IBAN by country, of the registry of SWIFT."""


_IBAN_MOST: Final = 68
"""Characters of the longest, 34, with a blank before each."""


def luhn(digits: bytes) -> bool:
    """Whether the check digit of a card is right (ISO/IEC 7812-1, annex B).

    >>> luhn(b"4111111111111111"), luhn(b"4111111111111112")
    (True, False)
    """
    values = [byte - 48 for byte in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


def cards(run: bytes, _data: bytes, _end: int) -> Iterator[str]:
    """Cards in a run of digits: in one piece, or in groups by blanks or dashes of which the first has four.

    Raises:
        TooManyError: the run has over 1,000 groups; after the cards of those.

    >>> list(cards(b"12 4111-1111-1111-1111 05", b"", 0))
    ['4111111111111111']
    """
    groups = re.split(rb"[ -]", run, maxsplit=_MOST_OF_RUN)
    for at, group in enumerate(groups[:_MOST_OF_RUN]):
        if len(group) in CARD_DIGITS and _is_card(group):
            yield group.decode()
        elif len(group) == _FIRST_GROUP:
            joined = (b"".join(groups[at : at + count]) for count in range(2, _MOST_GROUPS + 1))
            found = next((digits for digits in joined if len(digits) in CARD_DIGITS and _is_card(digits)), None)
            if found is not None:
                yield found.decode()
    if len(groups) > _MOST_OF_RUN:
        raise TooManyError(f"over {_MOST_OF_RUN:,} groups of digits in a row, of which the first are no card")


def _is_card(digits: bytes) -> bool:
    return _ISSUERS.match(digits.decode()) is not None and luhn(digits)


def ibans(start: bytes, data: bytes, end: int) -> Iterator[str]:
    """The IBAN that begins with country and check digits, with or without blanks (ISO 13616, check digits by mod 97).

    >>> text = b"IBAN DE89 3704 0044 0532 0130 00 is mine"
    >>> list(ibans(b"DE89", text, 9)), list(ibans(b"DE88", text, 9))
    (['DE89370400440532013000'], [])
    """
    length = IBAN_LENGTHS[start[:2].decode().upper()]
    there = start + data[end : end + _IBAN_MOST]
    spelled = re.match(rb"(?: ?[0-9A-Za-z]){%d}" % length, there)
    if spelled is not None and not is_of_word(there[spelled.end() : spelled.end() + 4]):
        value = spelled.group().replace(b" ", b"").decode().upper()
        if int("".join(str(int(char, 36)) for char in value[4:] + value[:4])) % 97 == 1:
            yield value


def us_ssns(number: bytes, data: bytes, end: int) -> Iterator[str]:
    """A number that the US Social Security Administration may have given: not 000, 666 or 9xx, nor 00, nor 0000.

    >>> [list(us_ssns(number, b"", 0)) for number in (b"078-05-1120", b"666-05-1120", b"078-00-1120")]
    [['078-05-1120'], [], []]
    """
    area, group, serial = number.split(b"-")
    if (
        data[end : end + 1] != b"-"
        and area not in {b"000", b"666"}
        and area < b"900"
        and group != b"00"
        and serial != b"0000"
    ):
        yield number.decode()
