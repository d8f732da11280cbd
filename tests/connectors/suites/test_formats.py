"""Formats of other programs: what is read and written back is equal, and what has no counterpart is named."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aftercall.errors import UserError
from aftercall.evals import EvalCase, Scorer
from aftercall.evals.answer import Answer
from aftercall.evals.reading import case_of
from connectors.suites import inspect_ai, inspect_log_file, openai_evals, promptfoo
from connectors.suites.foreign_case import plain_case

MESSAGES = [{"role": "user", "content": "How long?"}]


def written(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_case_as_a_line_is_read_as_the_same_case() -> None:
    case = EvalCase(input={"n": 1}, expected=0, checks=({"type": "json"},), tags=("t",), metadata={"a": [1]})
    for one in (case, EvalCase(input="a", id="c", expected="")):
        assert case_of(json.loads(json.dumps(plain_case(one))), "x") == one


# --- Inspect AI ---

SAMPLES: tuple[dict[str, Any], ...] = (
    {"input": "How long?", "target": "30 days", "id": "a"},
    {"input": MESSAGES, "target": ["30 days", "a month"], "id": "b", "metadata": {"level": 2}},
    {"input": "Which?", "target": "A", "id": "c", "choices": ["30 days", "none"], "files": {"x": "y"}},
    {"input": "Why?", "target": "", "id": "d"},
)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_samples_are_read_and_written_back_equal(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, lines(*SAMPLES) if name == "a.jsonl" else list(SAMPLES))
    cases = inspect_ai.samples_in(path).cases
    assert list(inspect_ai.samples_out(cases)) == list(SAMPLES)
    assert [case.expected for case in cases] == ["30 days", None, "A", None]
    scorer = Scorer()
    assert [scorer.score(cases[1], Answer(text)).passed for text in ("A month", "a week")] == [True, False]


def test_cases_of_ours_become_samples_and_come_back_equal(tmp_path: Path) -> None:
    cases = [
        EvalCase(input="a", id="a", expected={"days": 30}, tags=("t",)),
        EvalCase(input="b", id="b", expected="x", checks=({"type": "json"}, {"type": "latency", "max": 1})),
        EvalCase(input="c", id="c", checks=({"type": "one_of", "value": ["x", "y"]},), tags=("t",), metadata={"m": 1}),
        EvalCase(input="d", id="d", checks=({"type": "one_of", "value": ["x"]}, {"type": "json"})),
    ]
    path = written(tmp_path, "a.jsonl", lines(*inspect_ai.samples_out(cases)))
    assert list(inspect_ai.samples_in(path).cases) == cases


def log(*samples: dict[str, Any], **more: Any) -> dict[str, Any]:
    about = {"task": "suite", "model": "m/x", "created": "2026-11-30T08:00:00+00:00", "dataset": {"name": "cases"}}
    return {"version": 2, "eval": about, "samples": list(samples)} | more


def test_a_log_is_a_run_with_a_result_per_sample_and_epoch(tmp_path: Path) -> None:
    heard = [{"id": "x1", "role": "user", "content": "How long?", "source": "input"}]
    samples = [
        {"id": "a", "epoch": 1, "input": "q", "scores": {"s": {"value": "C"}}, "total_time": 1.5},
        {"id": "a", "epoch": 2, "input": "q", "scores": {"s": {"value": "I"}, "t": {"value": 1}}},
        {"id": 7, "epoch": 1, "input": heard, "scores": {"s": {"value": [1]}}},
        {"id": "e", "epoch": 1, "input": "q", "error": {"message": "secret"}},
    ]
    run = inspect_ai.log_in(written(tmp_path, "l.json", log(*samples)))
    assert (run.dataset, run.agent, run.started_at) == ("cases", "m/x", 1_796_025_600_000_000)
    found = [(one.case_id, one.repeat, one.score, one.error) for one in run.results]
    assert found == [
        ("a", 0, 1.0, None),
        ("a", 1, 0.0, None),
        ("7", 0, None, "no scorer gave a score"),
        ("e", 0, 0.0, "the run ended with an error"),
    ]
    assert run.results[0].latency_ms == 1500.0
    assert run.cases[1].input_hash == EvalCase(input=MESSAGES).input_hash, "so that it has one history with its sample"


REAL = Path(__file__).with_name("inspect_0_3_285.eval")
"""As inspect-ai 0.3.285 wrote it (zip of zstd): three samples, two epochs, of which one sample raises."""


def test_a_log_as_inspect_writes_it_is_a_run() -> None:
    run = inspect_ai.log_in(REAL)
    assert (run.agent, len(run.cases)) == ("mockllm/model", 3)
    assert [(one.case_id, one.repeat, one.score, one.error) for one in run.results] == [
        ("s0", 0, 1.0, None),
        ("s0", 1, 0.0, None),
        ("s1", 0, 1.0, None),
        ("s1", 1, 0.0, None),
        ("s2", 0, 0.0, "the run ended with an error"),
        ("s2", 1, 0.0, "the run ended with an error"),
    ]
    assert run.cases[1].input == "long " * 3000


def zipped(path: Path, members: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_log_of_older_versions_is_the_same_run_as_its_json(tmp_path: Path) -> None:
    sample = {"id": "a", "epoch": 1, "input": "q", "scores": {"s": {"value": "C"}}, "total_time": 1.5}
    header = {name: value for name, value in log().items() if name != "samples"}
    packed = zipped(tmp_path / "l.eval", {"samples/a_epoch_1.json": sample, "header.json": header, "x.json": "{"})
    assert inspect_ai.log_in(packed) == inspect_ai.log_in(written(tmp_path, "l.json", log(sample)))


def cut(content: bytes) -> bytes:
    return content[:-40]


def altered(content: bytes) -> bytes:
    """One bit within the compressed bytes of a sample."""
    with zipfile.ZipFile(REAL) as members:
        one = members.getinfo("samples/s0_epoch_1.json")
    place = one.header_offset + one.compress_size // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("broken", [cut, altered, lambda _: b"", lambda _: b"{}"])
def test_a_log_that_is_damaged_is_one_sentence(tmp_path: Path, broken: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "l.eval"
    path.write_bytes(broken(REAL.read_bytes()))
    with pytest.raises(UserError, match="must be a log of Inspect; its zip is broken"):
        inspect_ai.log_in(path)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"_journal/start.json": {}}, "must be a log of a run that has ended"),
        ({"header.json": "{"}, "must be a zip of JSON"),
        ({"header.json": []}, "must be a log of Inspect of version 2"),
        ({"header.json": {"version": 2, "eval": {}}}, "must have one sample at least"),
    ],
)
def test_a_zip_that_is_no_such_log_is_one_sentence(tmp_path: Path, members: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        inspect_ai.log_in(zipped(tmp_path / "l.eval", members))


def test_a_log_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect_log_file, "_MOST_BYTES", 1000)
    with pytest.raises(UserError, match="must have at most 1,000 bytes when read"):
        inspect_ai.log_in(REAL)


# --- promptfoo ---

CONFIG = """
prompts: ["Answer: {{question}}"]
defaultTest: {assert: [{type: icontains, value: "{{ word }}"}], vars: {word: days}}
tests:
  - description: returns
    vars: {question: "How long?"}
    assert:
      - {type: equals, value: 30 days}
      - {type: is-json}
      - {type: is-json, value: {type: object}}
      - {type: llm-rubric, value: is polite}
      - {type: regex, value: "[0-9]+", weight: 0}
  - {vars: {question: [a, b]}}
  - {vars: {question: "file://q.txt"}}
  - {vars: {question: "Why?"}, threshold: 0.5, metadata: {level: 2}}
"""


def test_tests_become_cases_and_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "promptfooconfig.yaml", CONFIG)
    found = promptfoo.read_tests(path)
    first, second = found.cases
    assert first.input == {"word": "days", "question": "How long?"}
    assert first.checks == (
        {"type": "icontains", "value": "days"},
        {"type": "equals", "value": "30 days"},
        {"type": "json"},
        {"type": "json_schema", "value": {"type": "object"}},
    )
    assert (second.metadata, second.place) == ({"level": 2}, f"{path}, test 4")
    assert [one.removeprefix(f"{path}, ") for one in found.lost] == [
        "test 1: the assertion 'llm-rubric' has no counterpart: left out",
        "test 1: the assertion 'regex' cannot be carried over with 'weight': left out",
        "test 2: a variable is in another file, or a list of values: skipped",
        "test 3: a variable is in another file, or a list of values: skipped",
        "test 4: 'threshold' has no counterpart: left out",
    ]


TESTS: list[dict[str, Any]] = [
    {"vars": {"question": "How long?"}, "assert": [{"type": "equals", "value": "30 days"}], "description": "returns"},
    {"vars": {"input": "a"}, "assert": [{"type": "is-json", "value": {"type": "object"}}], "metadata": {"level": 2}},
    {"vars": {"a": 1, "b": "x"}, "assert": [{"type": "contains", "value": "x"}, {"type": "icontains", "value": "Y"}]},
    {"vars": {"input": "b"}, "assert": [{"type": "regex", "value": "^[0-9]+$"}, {"type": "is-json"}]},
]


def test_tests_are_read_and_written_back_equal(tmp_path: Path) -> None:
    cases = promptfoo.read_tests(written(tmp_path, "a.json", {"tests": TESTS})).cases
    document, lost = promptfoo.written_tests(cases)
    assert (document["tests"], lost) == (TESTS, [])
    assert document["prompts"] == ["{{input}}"]
    assert promptfoo.written_tests(cases[:1])[0]["prompts"] == ["{{question}}"]


def test_cases_of_ours_become_tests_and_what_promptfoo_has_not_is_named() -> None:
    cases = [
        EvalCase(input="a", id="a", expected="x"),
        EvalCase(input={"only": 1}, id="b", checks=({"type": "contains", "value": ["x", "y"]},)),
        EvalCase(input="c", id="c", checks=({"type": "latency", "max": 1}, {"type": "json"})),
    ]
    document, lost = promptfoo.written_tests(cases)
    assert [one["vars"] for one in document["tests"]] == [{"input": "a"}, {"input": {"only": 1}}, {"input": "c"}]
    assert [one["assert"] for one in document["tests"]] == [
        [{"type": "equals", "value": "x"}],
        [{"type": "contains", "value": "x"}, {"type": "contains", "value": "y"}],
        [{"type": "is-json"}],
    ]
    assert lost == [
        "case 'a': 'exact' becomes 'equals', which counts blanks and capitals",
        "case 'c': the check 'latency' has no counterpart: left out",
    ]


def results(*rows: dict[str, Any], version: int = 3) -> dict[str, Any]:
    found = [{"provider": {"id": "exec: shop"}, "latencyMs": 12, **row} for row in rows]
    return {"results": {"version": version, "timestamp": "2026-11-30T08:00:00.000Z", "results": found}}


def test_results_are_a_run_of_the_same_cases(tmp_path: Path) -> None:
    graded = {"componentResults": [{"pass": False, "assertion": {"type": "equals"}}]}
    rows = [
        {"testCase": TESTS[0], "success": True, "score": 1, "failureReason": 0},
        {"testCase": TESTS[0], "success": False, "score": 0.8, "failureReason": 1, "gradingResult": graded},
        {"testCase": TESTS[1], "success": False, "score": 0, "failureReason": 2, "error": "secret", "cost": 0.5},
    ]
    run = promptfoo.results_in(written(tmp_path, "r.json", results(*rows)))
    cases = promptfoo.read_tests(written(tmp_path, "a.json", {"tests": TESTS})).cases
    assert [(one.id, one.input_hash) for one in run.cases] == [(one.id, one.input_hash) for one in cases[:2]]
    found = [(one.case_id, one.repeat, one.score, one.error) for one in run.results]
    assert found == [
        (cases[0].id, 0, 1.0, None),
        (cases[0].id, 1, 0.0, None),
        (cases[1].id, 0, 0.0, "the run ended with an error"),
    ]
    assert (run.agent, run.results[1].checks[0].check, run.results[2].cost) == ("exec: shop", "equals", 0.5)


# --- OpenAI Evals ---


def test_samples_of_openai_evals_must_contain_the_ideal_answer_or_be_one_of_several(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a.jsonl", lines({"input": MESSAGES, "ideal": "30 days"}, {"input": "q", "ideal": ["a", "b"]})
    )
    one, other = openai_evals.samples_of_evals(path).cases
    assert one.input == MESSAGES
    scorer = Scorer()
    assert scorer.score(one, Answer("It is 30 days.")).passed
    assert [scorer.score(other, Answer(text)).passed for text in ("B", "c")] == [True, False]


@pytest.mark.parametrize(
    ("read", "content", "words"),
    [
        (inspect_ai.samples_in, {"input": "a"}, "must be a list of samples"),
        (inspect_ai.samples_in, "{", "must be JSON; it is none"),
        (inspect_ai.log_in, log(version=1), "must be a log of Inspect of version 2, as JSON (write it"),
        (inspect_ai.log_in, [], "must be a log of Inspect of version 2"),
        (inspect_ai.log_in, log(), "must have one sample at least"),
        (inspect_ai.log_in, log({"id": 1, "input": "a"}, eval={}), "eval.created: must be a time"),
        (promptfoo.read_tests, "{", "must be YAML or JSON"),
        (promptfoo.read_tests, {"tests": "tests.csv"}, "must have a list of `tests`"),
        (promptfoo.read_tests, {"tests": []}, "must have one case at least"),
        (promptfoo.results_in, results(version=2), "must be results of promptfoo of version 3"),
        (promptfoo.results_in, [], "must be results of promptfoo of version 3"),
        (promptfoo.results_in, results(), "must have results of one provider; got 0"),
        (promptfoo.results_in, results({"testCase": {}}), "a result must have the variables of its test"),
    ],
)
def test_what_is_no_such_file_is_one_sentence(tmp_path: Path, read: Any, content: Any, words: str) -> None:
    path = written(tmp_path, "x.json", content)
    with pytest.raises(UserError) as refused:
        read(path)
    assert str(refused.value).removeprefix(str(path)).lstrip(":, ").startswith(words)


@pytest.mark.parametrize("read", [inspect_ai.log_in, promptfoo.read_tests, promptfoo.results_in])
def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, read: Any) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read(tmp_path / "no.json")
