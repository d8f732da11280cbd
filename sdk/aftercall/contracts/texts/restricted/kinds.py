"""Lists the kinds of restricted data."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

from pydantic_core import from_json

from aftercall.contracts.texts.restricted.detector import BEFORE, DataKind
from aftercall.contracts.texts.restricted.numbers import IBAN_LENGTHS, cards, ibans, us_ssns

_KEYS: Final = (
    r"sk-[A-Za-z0-9_-]{20,}|[srp]k_(?:live|test)_[A-Za-z0-9]{16,}|(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}"
    r"|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}|xox[abposr]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}"
    r"|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}"
)
"""OpenAI and Anthropic, Stripe, AWS, GitHub, GitLab, Slack, Google, Hugging Face, npm."""
_KEY_STARTS: Final = (
    r"(?:sk-|[srp]k_(?:live|test)_|a[ks]ia[0-9a-z]|gh[pousr]_|github_pat_|glpat-|xox[abposr]-|aiza|hf_|npm_)"
    r"[a-z0-9_-]{10}"
)
_IMAGE: Final = re.compile(rb"@[1-9]x\.")
_LOCAL: Final = re.compile(r"[\w%+'-][\w.%+'-]{0,63}")
"""The part before the `@`, read backwards: a search from its start would keep a state for each order of its threads."""
_MOST_BYTES: Final = 256


def _as_it_is(value: bytes, _data: bytes, _end: int) -> Iterator[str]:
    yield value.decode("utf-8", "replace")


def _emails(domain: bytes, data: bytes, end: int) -> Iterator[str]:
    """The address that ends with `@` and this domain, but for names of images, such as icon@2x.png."""
    start = end - len(domain)
    before = data[max(0, start - _MOST_BYTES) : start].decode("utf-8", "ignore")
    local = _LOCAL.match(before[::-1])
    if local is not None and not _IMAGE.match(domain):
        yield local.group()[::-1] + domain.decode("utf-8", "replace")


def _keys(key: bytes, _data: bytes, _end: int) -> Iterator[str]:
    """Those with a digit: words joined by dashes have none."""
    if any(48 <= byte <= 57 for byte in key):
        yield key.decode()


def _jwts(token: bytes, _data: bytes, _end: int) -> Iterator[str]:
    """Those whose first part is a header with `alg` (RFC 7519)."""
    header = token.split(b".")[0][:4096]
    try:
        is_header = "alg" in from_json(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except (ValueError, TypeError, binascii.Error):
        is_header = False
    if is_header:
        yield token.decode()


DATA_KINDS: Final = {
    detector.name: detector
    for detector in (
        DataKind(
            "email",
            r"[\pL\pN_%+'-]@[\pL\pN-]+\.",
            r"@(?:[\pL\pN][\pL\pN-]*\.)+\pL{2,24}",
            _emails,
        ),
        # Without a boundary before it: then the states of the search are those of one run of digits.
        DataKind("card", r"\d(?:[ -]?\d){12}", r"(?:\A|[^\pL\pN\pM.])\d(?:[ -]?\d){12,}", cards),
        DataKind(
            "iban",
            r"[a-z]{2}\d{2}(?: ?[0-9a-z]){3}",
            rf"{BEFORE}(?i:{'|'.join(sorted(IBAN_LENGTHS))})\d{{2}}",
            ibans,
            whole=False,
        ),
        DataKind("us_ssn", r"\d{3}-\d{2}-\d{4}", r"(?:\A|[^\pL\pN\pM-])\d{3}-\d{2}-\d{4}", us_ssns),
        DataKind("api_key", _KEY_STARTS, f"{BEFORE}(?:{_KEYS})", _keys),
        DataKind(
            "private_key",
            r"-----begin (?:[0-9a-z]+ )*private key",
            r"-----BEGIN (?:[0-9A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----",
            _as_it_is,
            whole=False,
        ),
        DataKind(
            "jwt",
            r"eyj[0-9a-z_-]+\.eyj",
            BEFORE + r"eyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{4,}\.[0-9A-Za-z_-]*",
            _jwts,
        ),
    )
}
"""By name, as in `detect`."""
