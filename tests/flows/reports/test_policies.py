"""What `--policy` may say, and the sentence for what it may not."""

from pathlib import Path

import numpy as np
import pytest

from aftercall.errors import ExitCode, UsageError
from flows.reports.policies import policy_weights
from flows.reports.snapshot_reader import InsightError

ARMS = ["large/v1", "openai/small/v1", "tiny/v1"]
RATE, VERDICTS, COST = np.array([0.9, 0.885, 0.5]), np.array([500.0, 500, 500]), np.array([0.1, 0.01, 0.001])


def weights(text: str) -> list[float]:
    return [float(one) for one in policy_weights(text, ARMS, RATE, VERDICTS, COST)]


def test_each_form(tmp_path: Path) -> None:
    file = tmp_path / "weights.json"
    file.write_text('{"large/v1": 0.25, "tiny/v1": 0.75}')
    assert weights("fixed:openai/small/v1") == [0, 1, 0]
    assert weights(f"weights:{file}") == [0.25, 0, 0.75]
    assert weights("cheapest-within:2pts") == [0, 1, 0]
    assert weights("cheapest-within:1pts") == [1, 0, 0]
    assert weights("cheapest-within:50pts") == [0, 0, 1]


@pytest.mark.parametrize("text", ["", "fixed:", "weights:", "best", "cheapest-within:2", "cheapest-within:-2pts"])
def test_an_unknown_form_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="--policy: must be fixed:MODEL/CONFIG") as wrong:
        weights(text)
    assert wrong.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"large/v1": 0.5}', "must sum to 1; got 0.5"),
        ('{"huge/v1": 1}', "must name arms that were called or recommended; got 'huge/v1'"),
        ('{"large/v1": 2, "tiny/v1": -1}', "must be numbers from 0 to 1; got 2 of 'large/v1'"),
        ('{"large/v1": NaN}', "must be numbers from 0 to 1"),
        ('{"large/v1": true}', "must be numbers from 0 to 1"),
        ("[1]", "must be a JSON object of weights"),
        ("{", "must be a JSON object of weights"),
        ("{}", "must be a JSON object of weights"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "weights.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=sentence):
        weights(f"weights:{file}")


def test_without_costs_the_cheapest_is_not_known() -> None:
    with pytest.raises(InsightError, match="log cost_usd") as wrong:
        policy_weights("cheapest-within:2pts", ARMS, RATE, VERDICTS, np.full(3, np.nan))
    assert wrong.value.exit_code == ExitCode.UNDECIDED
