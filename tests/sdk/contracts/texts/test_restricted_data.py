"""Each kind of restricted data is found by its form and its check digits; what is only near it is not."""

from __future__ import annotations

from typing import Any

import pytest

from aftercall.contracts.params.texts import DETECTORS
from harness.text_rules import judged

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"  # noqa: S105 - made up
KEY = "sk-" + "a1b2c3d4e5" * 3

THERE = {
    "email": [
        "jo@example.org",
        "Write to <Jo.Doe+x@mail.example.co.uk>.",
        "JO@EXAMPLE.ORG",
        "m\u00fcller@b\u00fccher.de",
        "mailto:a_b@c-d.io,",
        "_jo@example.org",
        "jo@example.org.",
        "\uff4a\uff4f@example.org",
        "j\u200bo@exam\u00adple.org",
        "o'neil@example.com",
    ],
    "card": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111.",
        "card:5555555555554444,",
        "3782 822463 10005",
        "378282246310005",
        "6011 1111 1111 1117",
        "2223003122003222",
        "12 4111 1111 1111 1111",
        "4111 1111 1111 1111 05/28",
        "\uff14\uff11\uff11\uff11 1111 1111 1111",
        "4222222222222",
        "6304000000000000",
        "4000 0000 0000 0000 006",
    ],
    "iban": [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "de89 3704 0044 0532 0130 00 is mine",
        "GB82 WEST 1234 5698 7654 32.",
        "IBAN:FR1420041010050500013M02606",
        "NL91ABNA0417164300",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
        "x AT61 1904 3002 3457 3201, y",
        "ES91 2100 0418 4502 0005 1332",
        "AT12 DE89 3704 0044 0532 0130 00",
    ],
    "us_ssn": [
        "078-05-1120",
        "SSN 219-09-9999.",
        "(457-55-5462)",
        "ssn:001-01-0001",
        "899-99-9999",
        "a\n123-45-6789\nb",
        "\uff11\uff12\uff13-45-6789",
        "665-12-3456",
        "667-12-3456",
        "[123-45-6789]",
    ],
    "api_key": [
        KEY,
        "sk-ant-api03-" + "Ab1" * 10,
        "key=sk_live_" + "4eC39HqLyjWDarjtT1",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1" * 18,
        "github_pat_" + "11AAAAAAA0" * 3,
        "glpat-" + "x1" * 10,
        "xoxb-123456789012-abcdef",
        "AIza" + "Sy1" * 11 + "ab",
        '"hf_' + "abC1" * 8 + '"',
        "npm_" + "a1" * 18,
    ],
    "private_key": [
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nMII",
        "-----BEGIN EC PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----",
        "x-----BEGIN DSA PRIVATE KEY-----x",
        '"-----BEGIN PRIVATE KEY-----\\n',
        "-----BEGIN PRIVATE KEY-----\u200b",
        "\uff0d----BEGIN PRIVATE KEY-----",
    ],
    "jwt": [
        TOKEN,
        f"Bearer {TOKEN}",
        f"?token={TOKEN}&x=1",
        f'"{TOKEN}"',
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.",
        f"\u201c{TOKEN}\u201d",
        f"a,{TOKEN},b",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJqb2UifQ.",
        f"({TOKEN})",
        f"\n{TOKEN}\n",
    ],
}
NEAR = {
    "email": [
        "jo@localhost",
        "@handle",
        "jo at example.org",
        "jo@",
        "icon@2x.png",
        "a @ b.org",
        "jo@example.123",
        "jo@.org",
        "version@1.2.3",
        "npm i @scope/pkg.js",
    ],
    "card": [
        "4111111111111112",
        "4111 1111 1111 1112",
        "41111111111111110000",
        "0.4111111111111111",
        "a4111111111111111",
        "4111111111111111b",
        "1111111111111117",
        "4111  1111  1111  1111",
        "1772368455123",
        "2026-03-01 12:30:45.123456",
        "+49 170 1234567",
        "41 1111 1111 1111 11",
        "9999999999999995",
    ],
    "iban": [
        "DE88370400440532013000",
        "DE8937040044053201300",
        "DE893704004405320130001",
        "XX89370400440532013000",
        "xDE89370400440532013000",
        "DE89-3704-0044-0532-0130-00",
        "DE89",
        "GB82 WEST 1234 5698 7654 33",
        "AT12 rooms and more of them here",
        "FI21",
    ],
    "us_ssn": [
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "123-00-4567",
        "123-45-0000",
        "1123-45-6789",
        "123-45-67890",
        "123-45-6789-1",
        "123 45 6789",
        "1-123-45-6789",
        "a123-45-6789",
    ],
    "api_key": [
        "sk-learn",
        "sk-" + "word-" * 6,
        "task-a1b2c3d4e5f6a1b2c3d4e5f6",
        "AKIAIOSFODNN7EXAMPL",
        "xAKIAIOSFODNN7EXAMPLE",
        "akiaiosfodnn7example",
        "ghp_short1",
        "xoxb-1",
        "AKIAIOSFODNN7EXAMPLES1",
        "AIzaSy1",
    ],
    "private_key": [
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "BEGIN PRIVATE KEY",
        "-----begin private key-----",
        "-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEYS-----",
        "-----BEGIN PRIVATE  KEY-----",
        "a private key",
        "----BEGIN PRIVATE KEY----",
        "-----BEGIN RSA PUBLIC KEY-----",
    ],
    "jwt": [
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.c2lnbmF0dXJl.x",
        "eyJ4eXoiOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "eyJ.eyJ.x",
        "a.b.c",
        f"x{TOKEN}",
        "eyJhbGciOiJIUzI1NiJ9 . eyJzdWIiOiIxIn0 . c2ln",
        "eyjhbgcioijiuzi1nij9.eyjzdwiioiixin0.c2ln",
        "EYJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "eyJ!!!!!!!!.eyJzdWIiOiIxIn0.c2ln",
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in THERE.items() for text in texts])
def test_data_of_a_kind_is_found(kind: str, text: str) -> None:
    assert judged({"type": "restricted_data", "detect": [kind]}, text).result == "fail"


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in NEAR.items() for text in texts])
def test_what_is_only_near_is_not_found(kind: str, text: str) -> None:
    assert judged({"type": "restricted_data", "detect": [kind]}, text).result == "pass"


def test_every_kind_has_ten_of_both() -> None:
    assert set(THERE) == set(NEAR) == set(DETECTORS)
    assert min(len(texts) for table in (THERE, NEAR) for texts in table.values()) >= 10


def test_details_name_kind_and_count_and_never_the_data() -> None:
    found = judged({"type": "restricted_data"}, "a@b.org, c@d.org, 4111 1111 1111 1111", "219-09-9999")
    assert (found.actual, found.details) == (4.0, "us_ssn once in the input; email 2 times, card once in the output")


def test_a_pass_lists_what_was_looked_for() -> None:
    found = judged({"type": "restricted_data", "detect": ["card", "jwt"], "patterns": ["x{3}"]}, "nothing")
    assert found.details == "none of card, jwt and 1 pattern in the output (only these forms are found)"


@pytest.mark.parametrize(
    ("allow", "text", "result"),
    [
        (["support@example.org"], "Support@Example.org", "pass"),
        (["support@example.org"], "support@example.org jo@example.org", "fail"),
        (["*@example.org"], "a@example.org, b@example.org", "pass"),
        (["*@example.org"], "a@example.org.uk", "fail"),
        (["4111 1111 1111 1111"], "4111-1111-1111-1111", "pass"),
        (["4111111111111111"], "4111 1111 1111 1111", "pass"),
        (["4111*"], "4111111111111111 5555555555554444", "fail"),
        (["EMP-000???"], "emp-000123", "pass"),
        (["EMP-000???"], "emp-000123 emp-123456", "fail"),
        (["emp-*"], "emp-000123 emp-123456", "pass"),
        (["DE89*"], "DE89 3704 0044 0532 0130 00", "pass"),
    ],
)
def test_what_is_allowed_is_no_violation(allow: list[str], text: str, result: str) -> None:
    rule: dict[str, Any] = {"type": "restricted_data", "allow": allow, "patterns": [r"emp-\d{6}"]}
    assert judged(rule, text).result == result


@pytest.mark.parametrize(
    ("where", "output", "given", "result"),
    [
        ("both", "a@b.org", "nothing", "fail"),
        ("both", "nothing", "a@b.org", "fail"),
        ("both", "a@b.org", None, "fail"),
        ("both", "nothing", None, "pass"),
        ("both", None, "a@b.org", "not_applicable"),
        ("both", None, None, "not_applicable"),
        ("output", "nothing", "a@b.org", "pass"),
        ("input", "a@b.org", "nothing", "pass"),
        ("input", "a@b.org", None, "not_applicable"),
    ],
)
def test_of_both_texts_the_output_must_be_there(where: str, output: str | None, given: str | None, result: str) -> None:
    assert judged({"type": "restricted_data", "where": where}, output, given).result == result


def test_a_rule_that_detects_nothing_is_in_error() -> None:
    found = judged({"type": "restricted_data", "detect": []}, "text")
    assert (found.result, found.details) == ("error", "nothing to look for (set detect = [kinds] or patterns)")


def test_more_candidates_than_are_examined_are_an_error_and_no_pass() -> None:
    rule = {"type": "restricted_data", "detect": ["us_ssn"]}
    many = "000-12-3456 " * 1001
    assert judged(rule, many).result == "error"
    assert judged(rule, "219-09-9999 " + many).details == "us_ssn at least once in the output"
    assert judged({"type": "restricted_data", "detect": ["card"]}, "4000 " * 1001).result == "error"
