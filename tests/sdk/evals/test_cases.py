"""Cases: names, hashes, and what makes a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from aftercall.errors import ExitCode
from aftercall.evals import DatasetError, EvalCase, read_cases
from aftercall.evals.case import dataset_hash, distinct
from aftercall.evals.reading import case_of


def test_a_case_without_an_id_is_named_by_its_input_alone() -> None:
    one, other = EvalCase(input="a", expected="x"), EvalCase(input="a", expected="y", tags=("t",))
    assert one.id == other.id == one.input_hash[:8]
    assert EvalCase(input="b").id != one.id
    assert EvalCase(input={"b": 1, "a": 2}).input_hash == EvalCase(input={"a": 2, "b": 1}).input_hash


def test_equal_inputs_without_ids_get_numbers_and_keep_them_whatever_is_added() -> None:
    twice = distinct([EvalCase(input="a"), EvalCase(input="b"), EvalCase(input="a"), EvalCase(input="a")])
    name = EvalCase(input="a").id
    assert [case.id for case in twice] == [name, EvalCase(input="b").id, f"{name}#2", f"{name}#3"]


def test_a_data_set_has_one_hash_in_any_order_and_another_when_a_case_changes() -> None:
    cases = [EvalCase(input=text, expected="x") for text in "abc"]
    assert dataset_hash(cases) == dataset_hash(cases[::-1])
    assert dataset_hash(cases) != dataset_hash([*cases[:2], EvalCase(input="c", expected="y")])


def test_two_cases_of_one_id_are_refused_with_both_places() -> None:
    cases = [EvalCase(id="a", input=text, place=f"x.jsonl, line {at}") for at, text in enumerate("pq", 1)]
    with pytest.raises(DatasetError, match=r"^x\.jsonl, line 2: .*'a' is also that of x\.jsonl, line 1 \(give"):
        distinct(cases)


def test_no_case_is_a_sentence() -> None:
    with pytest.raises(DatasetError, match=r"^cases\.csv: must have one case at least; got none \(") as refused:
        distinct([], "cases.csv")
    assert refused.value.exit_code is ExitCode.FAILED


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1], "line 3: a case must be an object; got [1]"),
        ({}, "line 3: a case must have an `input`; got none"),
        ({"input": ""}, "line 3: a case must have an `input`"),
        ({"input": "a", "id": {}}, "line 3, id: must be a text of at most 256 characters; got {}"),
        ({"input": "a", "id": "x" * 257}, "line 3, id: must be a text of at most 256 characters"),
        ({"input": "a", "checks": [7]}, "line 3, check 1: must be an object with a `type`; got 7"),
        ({"input": "a", "checks": ["json: ", "near: x"]}, "line 3, check 2: a check as text must begin with exact:"),
        ({"input": "a", "tags": [1]}, "line 3, tags: must be a list of texts; got [1]"),
        ({"input": "a", "metadata": "x"}, "line 3, metadata: must be an object; got 'x'"),
    ],
)
def test_a_wrong_case_is_refused_with_place_rule_value_and_remedy(given: object, words: str) -> None:
    with pytest.raises(DatasetError) as refused:
        case_of(given, "line 3")
    assert str(refused.value).startswith(words)
    assert str(refused.value).endswith(")")


def test_other_fields_go_to_metadata() -> None:
    case = case_of({"id": 7, "question": "a", "answer": "b", "tags": "x; y,x", "owner": "me", "metadata": {"n": 1}}, "")
    assert (case.id, case.input, case.expected, case.tags) == ("7", "a", "b", ("x", "y"))
    assert case.metadata == {"owner": "me", "n": 1}


# --- JSON lines ---


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_json_lines_are_read_with_their_places_blank_lines_and_a_mark_at_the_beginning(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"input": "a"}\r\n\n  \n{"input": {"n": 1}, "id": "b"}')
    first, second = read_cases(path)
    assert (first.input, first.place) == ("a", f"{path}, line 1")
    assert (second.input, second.id, second.place) == ({"n": 1}, "b", f"{path}, line 4")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"input": "secret', "is no JSON: Unterminated string"),
        (b'{"input": "secret"} x', "is no JSON: Extra data"),
        (b'{"input": "secret", "n": NaN}', "is no JSON: NaN is no number of JSON"),
        (b'{"input": "secret \xff"}', "is no UTF-8"),
        (b"[" * 100_000, "is no JSON"),
    ],
)
def test_a_broken_line_is_refused_with_file_and_line_and_without_its_text(
    tmp_path: Path, line: bytes, words: str
) -> None:
    path = written(tmp_path, "a.jsonl", b'{"input": "a"}\n' + line + b'\n{"input": "b"}\n')
    with pytest.raises(DatasetError) as refused:
        read_cases(path)
    assert str(refused.value).startswith(f"{path}, line 2: {words}")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("name", "words"), [("no.jsonl", "cannot be read: No such file"), ("a.xls", "must end in")])
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        read_cases(tmp_path / name)


# --- sheets ---


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_sheet_is_read_as_its_program_exports_it(tmp_path: Path, separator: str, encoding: str) -> None:
    rows = [
        ["ID", "Question ", "Expected", "checks", "tags", "Owner"],
        ["1", '"Wie lange,\n ""genau"";\tbitte?"', "30 Tage", "", '"a, b"', "Jörg"],
        ["", "", "", "", "", ""],
        ["2", "x", "", '"contains: ja\nregex: [0-9]+: .*"', "", ""],
        ["3", "y", "", '"[{""type"": ""json""}]"', "", ""],
    ]
    text = "\r\n".join(separator.join(row) for row in rows)
    one, two, three = read_cases(written(tmp_path, "a.csv", text.encode(encoding)))
    assert (one.id, one.input, one.expected) == ("1", 'Wie lange,\n "genau";\tbitte?', "30 Tage")
    assert (one.tags, one.metadata) == (("a", "b"), {"owner": "Jörg"})
    assert two.checks == ({"type": "contains", "value": "ja"}, {"type": "regex", "value": "[0-9]+: .*"})
    assert two.expected is None
    assert three.checks == ({"type": "json"},)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"input,expected\na,b,c\n",
            "line 2: a row must have at most 2 cells, as the first line has; got 3 (put quotes",
        ),
        (b"input,Input\na,b\n", "line 1: two columns are named 'input' (rename"),
        (b"input\n\xfc\n", "line 2: is neither UTF-8 nor UTF-16 (export"),
        (b'input\n"a\n', "line 2: is no CSV: "),
        (b"input,checks\na,[1\n", "line 2, checks: is no JSON"),
        (b"", "must have one case at least"),
        (b"expected\nx\n", "line 2: a case must have an `input`"),
    ],
)
def test_a_broken_sheet_is_refused_with_its_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = written(tmp_path, "a.csv", content)
    with pytest.raises(DatasetError) as refused:
        read_cases(path)
    assert str(refused.value).removeprefix(str(path)).lstrip(",: ").startswith(words)


def test_a_cell_may_be_longer_than_the_library_allows_by_default(tmp_path: Path) -> None:
    (case,) = read_cases(written(tmp_path, "a.csv", "input\n" + "x" * 200_000))
    assert len(case.input) == 200_000


def test_a_hundred_thousand_cases_are_read(tmp_path: Path) -> None:
    lines = "\n".join(f'{{"id": "{at}", "input": "question {at}", "expected": "x"}}' for at in range(100_000))
    assert len(read_cases(written(tmp_path, "a.jsonl", lines))) == 100_000
