"""What was found to be wrong after a fault, and how the outputs of a run are judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from benchmarks import kill_compare
from benchmarks.kill_compare import Left
from benchmarks.kill_process import Pipeline
from benchmarks.kill_truth import Truth

COUNTS: Final = ("lost", "doubled", "wrong", "silent", "tracebacks")
_TRACEBACK: Final = "Traceback (most recent call last)"


@dataclass
class Findings:
    """What was found after one fault; all zeros where the pipeline kept its word.

    Attributes:
        lost: rows of the truth that are neither in a topic nor in the snapshot where they must be.
        doubled: rows that were never sent, or that are there twice; statements with two different events.
        wrong: rows that differ from the truth, sums that do not hold, ends and exit codes that must not be.
        silent: words that must be said (a log line, a sentence, `/readyz`, a metric) and were not.
        tracebacks: those printed for a fault that is no defect of ours.
        notes: the first of each, in words.
    """

    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    silent: int = 0
    tracebacks: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, note: str, count: int = 1) -> None:
        """Count something; `what` is one of COUNTS."""
        if count:
            setattr(self, what, getattr(self, what) + count)
            self.notes.append(f"{what}: {note}")

    @property
    def total(self) -> int:
        """The number of all findings."""
        return sum(getattr(self, name) for name in COUNTS)


@dataclass(frozen=True)
class Tolerance:
    """Where a fault makes two results equally right.

    Attributes:
        reread: a topic was read again from its beginning: what was read before comes as duplicates.
        floods: outcomes of calls that never come: whether they wait still or are orphans depends on timing.
        no_verdicts: the topic of verdicts was deleted, so that it lacks those before.
        shortened: calls whose reason did not fit into a record of the topic of verdicts.
        folded: "config" or "task_type": groups beyond a cap count as `__other__`, so that rates by this name differ.
    """

    reread: bool = False
    floods: bool = False
    no_verdicts: bool = False
    shortened: frozenset[str] = frozenset()
    folded: str = ""


def judge(findings: Findings, left: Left, truth: Truth, pipeline: Pipeline, tolerance: Tolerance) -> None:
    """Compare what a run has left in its topics and its snapshot with the truth."""
    _prepare(left, truth, tolerance)
    differences = kill_compare.against_truth(left, truth)
    for what, count in (
        ("lost", differences.lost), ("doubled", differences.doubled), ("wrong", differences.differing),
    ):  # fmt: skip
        findings.add(what, "; ".join(differences.shown[:4]), count)
    for line in (*kill_compare.sums_that_fail(pipeline.out, whole=True), *left.unlike_its_topics()):
        findings.add("wrong", line)
    findings.add("doubled", "statements with several events in the topic of verdicts", _said_twice(left))


def count_tracebacks(findings: Findings, pipeline: Pipeline, expected: Collection[str]) -> None:
    """Count what was printed as a traceback, over all starts; but for those that end with an error of `expected`."""
    printed = pipeline.log.read_text(errors="replace") if pipeline.log.exists() else ""
    for traceback in printed.split(_TRACEBACK)[1:]:
        last = next((line for line in traceback.splitlines()[1:] if line and not line.startswith(" ")), "")
        if not last.startswith(tuple(expected)):
            findings.add("tracebacks", traceback[-1_500:])


def _prepare(left: Left, truth: Truth, tolerance: Tolerance) -> None:
    """Take out of both what may differ."""
    if tolerance.no_verdicts:
        left.verdicts.records, truth.verdicts = [], []
    truth.verdicts = [(*row[:9], None, *row[10:]) if row[0] in tolerance.shortened else row for row in truth.verdicts]
    if tolerance.reread:
        left.true["dead_letters"] = [*dict.fromkeys(left.true["dead_letters"])]
        for name in ("duplicates", "dead_letters", "conflicts", "late"):
            again = max(left.counters[name] - truth.counters[name], 0)
            truth.counters[name] += again
            truth.counters["records"] += again * (name in {"duplicates", "dead_letters"})
    if tolerance.floods:
        orphans = [row for row in left.true["dead_letters"] if row[0] == "orphan"]
        left.true["dead_letters"] = [row for row in left.true["dead_letters"] if row[0] != "orphan"]
        truth.counters["orphans"] = len(orphans)
        truth.counters["dead_letters"] += len(orphans)
        truth.counters["waiting"] -= len(orphans)
    if tolerance.folded:
        whole = tolerance.folded == "task_type"
        left.true["rates"], truth.rates = (_by_task(rows, whole=whole) for rows in (left.true["rates"], truth.rates))


def _by_task(rows: list[tuple[object, ...]], *, whole: bool) -> list[tuple[object, ...]]:
    """Summed over models and configs; with `whole` over task types too."""
    sums: dict[tuple[object, ...], Counter[int]] = {}
    for task, _model, _config, grain, start, *counts in rows:
        total = sums.setdefault((None if whole else task, None, None, grain, start), Counter())
        total.update({place: int(str(count)) for place, count in enumerate(counts)})
    return [(*key, *(total[place] for place in range(6))) for key, total in sums.items()]


def _said_twice(left: Left) -> int:
    events: dict[tuple[str, int], set[str]] = {}
    for record in left.verdicts.records:
        events.setdefault((record["call_id"], record["seq"]), set()).add(record["event_id"])
    return sum(len(ids) > 1 for ids in events.values())
