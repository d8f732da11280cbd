"""What every room's tests share: Hypothesis profiles, brokers, the recorded data and the cases from the field."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# What shared parts of tests assert is said in full too, with the values that differ.
pytest.register_assert_rewrite("harness", "kafka", "oracle", "simulated", "states", "system")

pytest_plugins = [
    "harness.first",
    "harness.guard",
    "harness.heap",
    "harness.interrupts",
    "harness.marks",
    "harness.minutes",
    "kafka.fixtures",
    "kafka.lane_rig",
]

# No deadline: the first example pays for imports, and two shared cores stutter.
settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), max_examples=200, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of recorded traces beside this checkout; the test is skipped where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"needs the recorded traces in ../shared/data beside this checkout; there is no {folder.name}/ there"
        )
    return folder


@pytest.fixture(scope="session")
def field_cases() -> Path:
    """The folder of inputs as people have them; the test is skipped where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip(f"needs the cases in ../shared/cases beside this checkout; there is no {folder.name}/ there")
    return folder
