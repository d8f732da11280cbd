"""Every arrow between two packages stands, with its reason, in pyproject.toml: none is added by accident."""

from __future__ import annotations

import tomllib
from collections import Counter

import pytest

from architecture.rooms import ROOMS, ROOT, arrows

LISTED: dict[str, dict[str, str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["aftercall"]["arrows"]


def line(importer: str, imported: str) -> tuple[str, str]:
    """The table and the key under which an arrow is listed."""
    (room, package), (other, target) = importer.split("."), imported.split(".")
    return room if room == other else f"{room} -> {other}", f"{package} -> {target}"


def test_every_import_from_package_to_package_is_listed_with_a_reason() -> None:
    missing = [
        f'[tool.aftercall.arrows."{table}"] "{key}" = "..."  # {"; ".join(made_by[:3])}'
        for (table, key), made_by in sorted((line(*arrow), made_by) for arrow, made_by in arrows().items())
        if key not in LISTED.get(table, {})
    ]
    assert not missing, "\n".join(["in pyproject.toml must stand, with a reason, or the import must go:", *missing])


def test_every_listed_arrow_exists() -> None:
    existing = {line(*arrow) for arrow in arrows()}
    gone = [f'[tool.aftercall.arrows."{table}"] "{key}"' for table, keys in LISTED.items() for key in keys
            if (table, key) not in existing]  # fmt: skip
    assert not gone, "\n".join(["no import makes these any more; take them out of pyproject.toml:", *gone])


@pytest.mark.parametrize("table", list(LISTED))
def test_every_reason_is_one_short_line(table: str) -> None:
    for key, reason in LISTED[table].items():
        assert 5 < len(reason) <= 90, f"{key}: {reason!r}"
        assert "\n" not in reason


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_stays_as_simple_as_it_was_drawn(room: str) -> None:
    """34 arrows in a room were drawn when it was built; sessions brought seven, contracts seven, trust some, suites 2.

    With more than 62 it should be two.
    """
    count = Counter(line(*arrow)[0] for arrow in arrows())[room]
    print(f"{room}: {count} arrows between its packages")  # noqa: T201 - shown by `pytest -s`
    assert 0 < count <= 62
