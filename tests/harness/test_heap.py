"""What collecting the tests has made is not looked at again."""

from __future__ import annotations

import gc


def test_most_objects_of_this_process_are_left_out_of_collections_of_garbage() -> None:
    assert gc.get_freeze_count() > 50_000
