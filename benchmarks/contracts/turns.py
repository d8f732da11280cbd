"""Measures processor time of variants that take turns, so that what else the machine does hits all of them alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Iterable, Mapping


def best_s(variants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least processor time of each variant, in seconds, over so many rounds; each runs once before that."""
    best = dict.fromkeys(variants, float("inf"))
    for run in variants.values():
        run()
    for _ in range(rounds):
        for name, run in variants.items():
            gc.collect()
            began = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - began)
    return best


def least_s(
    variants: Mapping[str, Callable[[], Iterable[object]]], rounds: int, alike: Collection[int] = ()
) -> dict[str, float]:
    """As `best_s`, of variants that are generators: the sum of the least times of their steps.

    A step is short enough to be left alone once in a few rounds, also where a whole run never is.

    Args:
        variants: by name.
        rounds: how often each runs.
        alike: places of the steps that do the same in all variants, and so count as the least of them all.
    """
    best: dict[str, list[float]] = {}
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)  # as a replay has it, see `flows.runtime.engine`
    try:
        for turn in range(rounds + 1):
            # In turn the one and the other begins: the first of a round may find another machine than the second.
            for name, run in sorted(variants.items(), reverse=turn % 2 == 1):
                gc.collect()
                steps = _steps_s(run())
                best[name] = list(map(min, best.get(name, steps), steps))
    finally:
        gc.set_threshold(*before)
    least = [min(steps) for steps in zip(*best.values(), strict=True)]
    return {
        name: sum(least[place] if place in alike else step for place, step in enumerate(steps))
        for name, steps in best.items()
    }


def _steps_s(run: Iterable[object]) -> list[float]:
    times, began = [], time.process_time()
    for _ in run:
        ended = time.process_time()
        times.append(ended - began)
        began = time.process_time()
    return times
