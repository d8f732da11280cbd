"""Brokers for all tests: `mock_broker`, `real_broker`, and `broker`, which is each in turn.

`real_broker` starts Apache Kafka once per run, for all processes of pytest-xdist; where KAFKA_BOOTSTRAP names one, it
takes that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.kafka_broker import Broker
from benchmarks.kafka_jars import BrokerError, jars, java
from kafka.clusters import Cluster, MockCluster, RealCluster
from kafka.service import Pipeline
from kafka.shared import shared_broker

BOOTSTRAP = "KAFKA_BOOTSTRAP"
NEED_KAFKA = {"real_broker", "new_broker", "pipeline"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for a real broker."""
    for item in items:
        if NEED_KAFKA.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


@pytest.fixture
def mock_broker() -> Iterator[MockCluster]:
    """One of its own for each test: it takes 10 ms."""
    cluster = MockCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def kafka_is_here() -> None:
    """Skips where a broker cannot be started."""
    try:
        java()
        jars()
    except BrokerError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def real_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RealCluster:
    """One for all tests of the run; tests take topics of their own from it."""
    if given := os.environ.get(BOOTSTRAP):
        return RealCluster({"bootstrap.servers": given})
    request.getfixturevalue("kafka_is_here")
    ours = tmp_path_factory.getbasetemp()
    stack = ExitStack()
    # At the very end, and no test's teardown: the one that started it waits there for the other processes.
    request.config.add_cleanup(stack.close)
    shared = ours.parent if hasattr(request.config, "workerinput") else ours
    return RealCluster(stack.enter_context(shared_broker(shared)))


@pytest.fixture
def new_broker(kafka_is_here: None) -> Iterator[Callable[..., Broker]]:
    """Makes brokers, not yet started, that a test may kill or configure; they end with it."""
    made: list[Broker] = []

    def make(**arguments: object) -> Broker:
        made.append(Broker(brief=True, **arguments))  # type: ignore[arg-type] # whatever Broker takes
        return made[-1]

    yield make
    for one in made:
        one.kill()  # its records are not needed any more
        one.close()


@pytest.fixture(params=["mock", pytest.param("real", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Cluster:
    """The same test on both."""
    cluster: Cluster = request.getfixturevalue(f"{request.param}_broker")
    return cluster


@pytest.fixture
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Makes pipelines, over topics of their own on `real_broker` unless given another; they end with the test."""
    made: list[Pipeline] = []

    def make(cluster: Cluster | None = None, **arguments: object) -> Pipeline:
        folder = tmp_path / f"pipeline-{len(made)}"
        folder.mkdir()
        made.append(Pipeline(cluster or request.getfixturevalue("real_broker"), folder, **arguments))  # type: ignore[arg-type] # whatever Pipeline takes
        return made[-1]

    yield make
    for one in made:
        one.close()
