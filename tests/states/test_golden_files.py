"""This code goes on from what an older commit stored when it was killed over files, and the end is the same."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from states import comparison, files, stored
from states.golden import MOST_BYTES, Golden, goldens, tried
from states.holds import holds, missing
from states.resumed import assert_went_on
from states.traffic import HELD_FROM
from system.runs import Left, assert_same, sums_that_fail

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * files.WITHIN_S)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the input, and with what this code makes of it in one go."""
    folder = tmp_path_factory.mktemp("undisturbed")
    files.write(folder)
    files.run(folder)
    return folder


def test_both_kinds_of_runs_have_a_golden_and_none_is_large() -> None:
    assert {golden.kind for golden in goldens()} == {"files", "kafka"}
    assert {golden.packed.stat().st_size > MOST_BYTES for golden in goldens()} == {False}


@pytest.mark.parametrize("golden", tried("files"))
def test_a_golden_of_files_goes_on_and_ends_as_an_undisturbed_run(
    golden: Golden, undisturbed: Path, tmp_path: Path
) -> None:
    for name in (files.CALLS, files.OUTCOMES, files.CONFIG):
        shutil.copy(undisturbed / name, tmp_path)
    assert files.digest(tmp_path) == golden.recorded["input"], "the input is not that of the recording"
    golden.unpack(tmp_path)
    out = tmp_path / files.OUT
    assert missing(found := holds(out)) == []
    assert found == golden.recorded["holds"]
    assert stored.records_read(out) == golden.recorded["stood"]["records_read"] < files.count(tmp_path)
    kinds, of_sources, of_trust = stored.apart(out), stored.counts_sources(out), stored.scores_trust(out)
    began = time.time()
    files.run(tmp_path, golden.recorded["workers"])
    assert json.loads((out / "state" / "run.json").read_text())["finished"]
    assert_went_on(out, began)
    assert sums_that_fail(out) == []
    comparison.assert_volumes_alike(out, undisturbed / files.OUT)
    comparison.assert_alarms_alike(out, undisturbed / files.OUT)
    comparison.assert_weights_alike(out, undisturbed / files.OUT, kinds)
    comparison.assert_intervals_alike(out, undisturbed / files.OUT)
    comparison.assert_sources_alike(out, undisturbed / files.OUT, HELD_FROM)
    comparison.assert_trust_alike(out, undisturbed / files.OUT)
    left, expected = (
        comparison.tables(one, of_sources=of_sources, of_trust=of_trust, kinds=kinds)
        for one in (out, undisturbed / files.OUT)
    )
    assert_same(Left(left, {}, {}), Left(expected, {}, {}))
