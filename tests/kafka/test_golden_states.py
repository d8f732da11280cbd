"""This code goes on from what an older commit stored when it was killed between topics, and the end is the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.kafka_broker import Broker
from states import comparison, live, stored
from states.files import WITHIN_S
from states.golden import Golden, tried
from states.holds import holds, missing
from states.names import foreign
from states.resumed import assert_went_on
from states.traffic import HELD_FROM, history
from system.runs import Left, assert_same, sums_that_fail

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(4 * WITHIN_S)]


class Filled(NamedTuple):
    """A broker whose topics hold the traffic, and the folder of a service that has read it in one go."""

    broker: Broker
    undisturbed: Path


@pytest.fixture(scope="module")
def filled(kafka_is_here: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """One for all goldens: each reads the topics from where it stood, and none writes to them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Broker(cluster=live.CLUSTER, brief=True) as broker:
        live.fill(broker, folder)
        live.run(folder)
        yield Filled(broker, folder)
        broker.kill()


@pytest.mark.parametrize("golden", tried("kafka"))
def test_a_golden_of_kafka_goes_on_and_ends_as_an_undisturbed_run(
    golden: Golden, filled: Filled, tmp_path: Path
) -> None:
    """Every table is equal: in each partition time never goes back, and no partition is idle before it is read."""
    assert live.digest() == golden.recorded["input"], "the input is not that of the recording"
    killed, undisturbed = tmp_path, filled.undisturbed
    golden.unpack(killed)
    assert missing(found := holds(killed / live.OUT)) == []
    assert found == golden.recorded["holds"]
    assert stored.records_read(killed / live.OUT) == golden.recorded["stood"]["records_read"] < len(history())
    kinds, of_sources = stored.apart(killed / live.OUT), stored.counts_sources(killed / live.OUT)
    of_trust = stored.scores_trust(killed / live.OUT)
    live.configure(filled.broker, killed)
    live.adopt(filled.broker, killed / live.OUT)
    began = time.time()
    live.run(killed)
    assert_went_on(killed / live.OUT, began)
    assert sums_that_fail(killed / live.OUT) == []
    comparison.assert_volumes_alike(killed / live.OUT, undisturbed / live.OUT)
    comparison.assert_alarms_alike(killed / live.OUT, undisturbed / live.OUT)
    comparison.assert_weights_alike(killed / live.OUT, undisturbed / live.OUT, kinds=kinds)
    comparison.assert_intervals_alike(killed / live.OUT, undisturbed / live.OUT)
    comparison.assert_sources_alike(killed / live.OUT, undisturbed / live.OUT, HELD_FROM)
    comparison.assert_trust_alike(killed / live.OUT, undisturbed / live.OUT)
    left, expected = (
        comparison.tables(folder / live.OUT, kafka=True, of_sources=of_sources, of_trust=of_trust, kinds=kinds)
        for folder in (killed, undisturbed)
    )
    assert_same(Left(left, {}, {}), Left(expected, {}, {}))
    for folder in (killed, undisturbed):
        assert set().union(*(foreign(state.data) for state in stored.every_state(folder / live.OUT))) == set()
