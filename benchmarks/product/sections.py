"""Says what each section of the benchmark measures, and which figures follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.product import held
from benchmarks.product.kinds import KINDS
from benchmarks.product.processes import Build
from benchmarks.product.runs import Bench, Measured
from benchmarks.product.service import Service, Topics
from benchmarks.product.sizes import GROUPS, RATE, Size
from benchmarks.product.steady import measure, records_from_now
from benchmarks.product.traffic import SEED, Shape, calls_for

Table = Any
Section = Callable[[Bench, Build, Build | None, Size], Table]
FIGURES: Final = (
    "events_per_cpu_second_kafka", "events_per_cpu_second_replay", "ratio_to_base_1", "ratio_to_base_3",
    "state_mb_per_epoch_5m", "epoch_core_share_5m", "resume_s_5m", "cpu_two_processes_over_one", "p99_s_steady",
    "cores_steady",
)  # fmt: skip


def shape_of(size: Size, statements: int = 1, groups: int = GROUPS, per_s: float = RATE) -> Shape:
    """Traffic of about `size.records` records."""
    return Shape(calls_for(size.records, statements), statements, groups, per_s)


def kafka(bench: Bench, present: Build, base: Build | None, size: Size) -> Table:
    """`aftercall run` by statements per call; at some of them the base commit too, by turns."""
    return [
        _compared(bench.run, shape_of(size, k), present, base if k in size.ratios else None, size.turns)
        | {"statements": k}
        for k in size.statements
    ]


def replay(bench: Bench, present: Build, base: Build | None, size: Size) -> Table:
    """`aftercall replay` of the same records, and of the same number spread over days: more minutes close."""
    thin = size.records / (size.days * 86_400)
    return [
        _compared(bench.replay, shape_of(size, per_s=per_s), present, base, size.turns) | {"traffic": name}
        for name, per_s in (("dense", RATE), (f"over {size.days:g} d", thin))
    ]


def kinds(bench: Bench, present: Build, base: Build | None, size: Size) -> Table:
    """`aftercall replay` by kind of traffic, by turns.

    The base commit knows none of them: it reads the plain traffic, and all ratios are to that.
    """
    plain = shape_of(size._replace(records=size.records // 4))
    shapes = [plain, *(plain._replace(kind=name, share=share) for name, kind in KINDS.items() for share in kind.shares)]
    runs: dict[Shape, list[Measured]] = {shape: [] for shape in shapes}
    bases: list[Measured] = []
    for _ in range(size.turns):
        for shape, done in runs.items():
            done.append(bench.replay(present, shape))
        if base is not None:
            bases.append(bench.replay(base, plain))
    return [_of_kind(shape, done, _best(runs[plain]), bases) for shape, done in runs.items()]


def _of_kind(shape: Shape, done: list[Measured], plain: float, bases: list[Measured]) -> dict[str, Any]:
    row = _row(done)
    ratio = row["present"] / _best(bases) if bases else None
    return row | {"kind": shape.kind, "share": shape.share, "over_plain": row["present"] / plain, "ratio": ratio}


def stages(bench: Bench, present: Build, _base: Build | None, size: Size) -> Table:
    """Where the CPU time of the present code goes, with one statement per call."""
    shape = shape_of(size)
    return {"replay": bench.replay_stages(present, shape), "kafka": bench.run_stages(present, shape)}


def groups(bench: Bench, present: Build, _base: Build | None, size: Size) -> Table:
    """`aftercall run` by number of groups."""
    return [
        _compared(bench.run, shape_of(size, groups=count), present, None, 1) | {"groups": count}
        for count in size.groups
    ]


def processes(bench: Bench, present: Build, _base: Build | None, size: Size) -> Table:
    """`aftercall run` with one process and with two, by turns."""
    runs: dict[int, list[Measured]] = {1: [], 2: []}
    for _ in range(size.turns):
        for count, done in runs.items():
            done.append(bench.run(present, shape_of(size), count))
    return [_row(done) | {"processes": count} for count, done in runs.items()]


def steady(bench: Bench, present: Build, _base: Build | None, size: Size) -> Table:
    """`aftercall run` at a steady rate, with the default epoch and publications."""
    seconds, warm_s = size.steady_s
    topics = Topics(bench.broker, "steady")
    service = Service(present, topics, bench.new_folder("steady"))
    running = service.start()
    try:
        service.wait_until_loaded(running)
        records = records_from_now(seconds + warm_s, size.lead_s, SEED)
        return measure(service, topics, running, records, seconds).plain()
    finally:
        running.kill()


def held_calls(bench: Bench, present: Build, _base: Build | None, size: Size) -> Table:
    """With many calls held."""
    return held.table(bench, present, size)


SECTIONS: Final[Mapping[str, Section]] = {
    "kafka": kafka,
    "replay": replay,
    "kinds": kinds,
    "stages": stages,
    "groups": groups,
    "processes": processes,
    "steady": steady,
    "held": held_calls,
}
"""In the order in which they are measured."""
WITH_BASE: Final = frozenset({"kafka", "replay", "kinds"})


def figures(tables: Mapping[str, Table]) -> dict[str, float]:
    """The figures that are compared between runs, of the sections that were measured; those without a base lack."""
    found: dict[str, float] = {}
    for row in tables.get("kafka", ()):
        if row["statements"] == 1:
            found["events_per_cpu_second_kafka"] = row["present"]
        if row["ratio"] is not None:
            found[f"ratio_to_base_{row['statements']}"] = row["ratio"]
    if "replay" in tables:
        found["events_per_cpu_second_replay"] = tables["replay"][0]["present"]
    if "held" in tables:
        found |= held.figures(tables["held"])
    if "processes" in tables:
        one, two = tables["processes"]
        found["cpu_two_processes_over_one"] = one["present"] / two["present"]
    if "steady" in tables:
        found |= {"p99_s_steady": tables["steady"]["p99_s"], "cores_steady": tables["steady"]["cores"]}
    return {name: found[name] for name in FIGURES if name in found}


def _compared(
    run: Callable[[Build, Shape], Measured], shape: Shape, present: Build, base: Build | None, turns: int
) -> dict[str, Any]:
    """Base, present, present, base: whatever slows the machine for a while slows both, and neither is always first."""
    builds = {"base": base, "present": present}
    runs: dict[str, list[Measured]] = {name: [] for name in builds}
    for turn in range(turns):
        for name in sorted(builds, reverse=turn % 2 == 1):
            if (build := builds[name]) is not None:
                runs[name].append(run(build, shape))
    bases, presents = runs.values()
    row = _row(presents)
    if not bases:
        return row | {"base": None, "ratio": None}
    best = _best(bases)
    same = bases[0].counts == presents[0].counts
    base_runs = [measured.plain() for measured in bases]
    return row | {"base": best, "ratio": row["present"] / best, "same_counts": same, "base_runs": base_runs}


def _row(runs: list[Measured]) -> dict[str, Any]:
    best = _best(runs)
    return {"present": best, "records": runs[0].records, "runs": [measured.plain() for measured in runs]}


def _best(runs: list[Measured]) -> float:
    rates = [measured.per_cpu_second for measured in runs]
    return max((rate for rate in rates if math.isfinite(rate)), default=math.nan)
