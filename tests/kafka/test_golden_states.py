"""This code goes on from what an older commit stored when it was killed between topics, and the end is the same."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.kafka_broker import Broker
from states import comparison, live, stored
from states.files import WITHIN_S
from states.golden import Golden, tried
from states.holds import holds, missing
from states.names import foreign
from states.resumed import assert_went_on
from states.traffic import history
from system.runs import Left, assert_same, sums_that_fail

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(4 * WITHIN_S)]


@pytest.mark.parametrize("golden", tried("kafka"))
def test_a_golden_of_kafka_goes_on_and_ends_as_an_undisturbed_run(
    golden: Golden, new_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    """Every table is equal: in each partition time never goes back, and no partition is idle before it is read."""
    assert live.digest() == golden.recorded["input"], "the input is not that of the recording"
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    for folder in (killed, undisturbed):
        folder.mkdir()
    golden.unpack(killed)
    assert missing(found := holds(killed / live.OUT)) == []
    assert found == golden.recorded["holds"]
    assert stored.records_read(killed / live.OUT) == golden.recorded["stood"]["records_read"] < len(history())
    broker = new_broker(cluster=live.CLUSTER)
    broker.start()
    live.fill(broker, killed)
    began = time.time()
    live.run(killed)
    assert_went_on(killed / live.OUT, began)
    shutil.copy(killed / live.CONFIG, undisturbed)
    live.run(undisturbed)
    assert sums_that_fail(killed / live.OUT) == []
    comparison.assert_weights_alike(killed / live.OUT, undisturbed / live.OUT)
    left, expected = (comparison.tables(folder / live.OUT, kafka=True) for folder in (killed, undisturbed))
    assert_same(Left(left, {}, {}), Left(expected, {}, {}))
    for folder in (killed, undisturbed):
        assert set().union(*(foreign(state.data) for state in stored.every_state(folder / live.OUT))) == set()
