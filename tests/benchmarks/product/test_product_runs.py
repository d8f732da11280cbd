from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from benchmarks.kafka_broker import Broker
from benchmarks.product.base import present
from benchmarks.product.runs import Bench
from benchmarks.product.traffic import Shape


@pytest.mark.slow
def test_a_replay_is_measured_from_end_to_end_and_its_stages_are_the_product_s(tmp_path: Path) -> None:
    bench, shape = Bench(tmp_path, Mock(spec=Broker), starts=1), Shape(1_500, 2, groups=20)
    measured = bench.replay(present(), shape)
    assert measured.counts["records"] == measured.records > 4_000
    assert measured.counts["calls"] == 1_500
    assert min(measured.cpu_s, measured.start_s) > 0
    stages = bench.replay_stages(present(), shape)
    idle = {stage for stage, ns in stages["ns"].items() if ns <= 0}
    assert idle <= {"client", "alerting", "routing"}
    assert sum(stages["ns"].values()) == pytest.approx(stages["whole_ns"])
