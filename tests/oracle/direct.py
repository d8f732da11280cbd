"""Runs histories through the join and the group step without Bytewax, so that Hypothesis can try thousands of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import orjson

from aftercall.contracts.results import RESULTS
from aftercall.facets import facet_values
from aftercall.times import NEVER
from connectors.batch import Batch
from connectors.decode.aliases import AliasSettings
from connectors.decode.contract_texts import ContractTexts
from connectors.decode.decoder import Decoder
from flows.dataflow.rows import attempt_rows, call_rows, completion_rows, statement_rows, verdict_records, verdict_rows
from flows.dataflow.shards import SHARDS, split
from models import plain
from models.groups import Caps, Groups
from models.join import Join, Joined, JoinRules, SourceRule, TaskRules, VerdictRules
from models.join.join import MOST_EARLY
from models.join.merged import merged_shard
from models.messages import Closed
from models.side_messages import CheckRow, Judge
from oracle.histories import History
from oracle.order import watermarks
from oracle.records import Rules

CAPS = Caps(1000, 1000, 1000)


def join_rules(rules: Rules) -> JoinRules:
    """The oracle's rules as the join's."""
    own = (rules.scale, rules.pass_at, rules.fail_at, rules.revises, rules.abstain, rules.combine)
    sources = {name: source_rule(name, rules) for names in own for name in names}
    tasks = rules.task_horizon_us.keys() | rules.task_require.keys()
    return JoinRules(
        horizon_us=rules.horizon_us,
        allowed_lateness_us=rules.allowed_lateness_us,
        orphan_wait_us=rules.orphan_wait_us,
        tasks={
            task: TaskRules(
                rules.horizon_of(task),
                {"success": True, "failure": False, None: None}[rules.silence.get(task)],
                rules.task_require.get(task),
            )
            for task in tasks
        },
        verdict=VerdictRules(precedence=tuple(rules.precedence), sources=sources, require=rules.require),
    )


def source_rule(name: str, rules: Rules) -> SourceRule:
    """The oracle's settings of one source as the join's."""
    low, high = rules.scale.get(name, (0.0, 1.0))
    return SourceRule(
        pass_at=rules.pass_at.get(name, low + 0.7 * (high - low)),
        fail_at=rules.fail_at.get(name),
        scale=rules.scale.get(name),
        same_id="revises" if name in rules.revises else "conflict",
        abstain=rules.abstain.get(name),
        combine=rules.combine.get(name, "newest"),
    )


def decoder_of(rules: Rules, texts: ContractTexts | None = None) -> Decoder:
    """A decoder with the oracle's rules, to which nothing is `future`; `texts`: what judges texts."""
    aliases = AliasSettings(*(rules.aliases.get(field, {}) for field in ("task_type", "model", "config")))
    common: dict[str, Any] = {"aliases": aliases, "ids_as_uuids": rules.ids_as_uuids}
    return Decoder(now_us=2**62, max_future_skew_us=0, number_tools=bool(rules.contracts), contracts=texts, **common)


@dataclass
class Direct:
    """The join of all shards and the group step, and everything they gave."""

    rules: JoinRules
    seed: int = 0
    most_early: int = MOST_EARLY
    segments: Mapping[str, frozenset[str]] = field(default_factory=dict)
    watched: frozenset[str] = frozenset()
    calls: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    attempts: dict[tuple[str, int, int], tuple[Any, ...]] = field(default_factory=dict)
    verdicts: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)
    statements: dict[tuple[str, int, str, int], tuple[Any, ...]] = field(default_factory=dict)
    newest: dict[str, dict[str, Any]] = field(default_factory=dict)
    issued: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Per id all its records of `agent.verdicts`."""
    tally: Counter[str] = field(default_factory=Counter)
    dead: Counter[tuple[str, str]] = field(default_factory=Counter)
    details: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By id of the call and detail: dead letters of outcomes that a second record or a lack of words made."""
    cells: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    trials: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    responses: dict[str, Counter[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(Counter))
    opinions: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    values: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    segment_cells: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    segment_trials: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    tried: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    """Attempts by group and minute."""
    dated: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    """Net changes by group, minute, quarter of an hour of the call, and what."""
    units: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    """Trials by group, minute, unit and success."""
    facets: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    """Trials by group, minute, facets and success."""
    opinion_trials: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    latencies: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    judge: Judge | None = None
    texts: ContractTexts | None = None
    unlearned: str | None = None
    checks: dict[tuple[Any, ...], str] = field(default_factory=dict)
    """By call, contract, version and rule: the last row of it."""
    check_rows: list[CheckRow] = field(default_factory=list)
    check_counts: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    check_trials: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    delays: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    """By group, hour of the call, success and bucket: those that rates are corrected by."""
    differing: list[str] = field(default_factory=list)
    """The fields that the dead letters of calls name."""

    def __post_init__(self) -> None:
        self._beside = self.seed, self.most_early, self.segments, self.judge, self.watched
        self.joins = {shard: Join(self.rules, *self._beside) for shard in SHARDS}
        self.groups = Groups(len(SHARDS), CAPS, self.unlearned)
        self._stored: dict[str, list[bytes]] = {shard: [] for shard in SHARDS}

    def run(self, history: History, cuts: Sequence[int], resumes: Sequence[bool], *, merged: bool = False) -> None:
        """Read the history in batches that end at `cuts`; where `resumes` is true, go on from the state after one."""
        order = history.order(merged=merged)
        before, last = watermarks(order, len(history.files))
        decoder = decoder_of(history.rules, self.texts)
        bounds = sorted({0, *(min(cut, len(order)) for cut in cuts), len(order)})
        for i, (start, end) in enumerate(pairwise(bounds)):
            reads = order[start:end]
            batch = decoder.decode(
                [history.files[r.file].lines[r.line - 1] for r in reads],
                np.array([history.files[r.file].kind == "outcomes" for r in reads], np.uint8),
                np.array([r.file for r in reads], np.int32),
                np.array([r.line for r in reads], np.int64),
                [f"file-{i}" for i in range(len(history.files))],
            )
            assert not batch.refused, batch.refused
            wm = np.array(before[start:end], np.int64)
            batch.calls = batch.calls._replace(wm=wm[batch.calls.pos])
            batch.outcomes = batch.outcomes._replace(wm=wm[batch.outcomes.pos])
            batch.low, batch.ended = before[end] if end < len(order) else last, end == len(order)
            self.tally["records"] += batch.records
            self.step(batch)
            if i < len(resumes) and resumes[i]:
                self.resume()

    def step(self, batch: Batch) -> None:
        """Take one batch."""
        for shard, arrivals in split(batch):
            self._take(self.joins[shard].process(arrivals))
            self._store(shard)

    def resume(self) -> None:
        """Go on from what was stored."""
        self.joins = {shard: self._resumed(shard) for shard in SHARDS}
        self.groups = Groups.from_state(self.groups.state(), len(SHARDS), CAPS, self.unlearned)

    def _store(self, shard: str) -> None:
        """As an epoch's end does: what has changed, behind what is stored."""
        join, stored = self.joins[shard], self._stored[shard]
        if join.unstored < 0:
            stored[:] = [plain.pack(join.state())]
        else:
            stored.append(plain.pack(join.changes()))

    def _resumed(self, shard: str) -> Join:
        if not self._stored[shard]:
            return self.joins[shard]
        state, *changes = map(plain.unpack, self._stored[shard])
        return Join.from_state(merged_shard(state, changes), self.rules, *self._beside)

    def _take(self, joined: Joined) -> None:
        for row in call_rows(joined):
            assert row[:2] not in self.calls
            self.calls[row[:2]] = row
        for call_id, at, *filled in completion_rows(joined):
            self._complete((call_id, at), filled)
        for row in attempt_rows(joined):
            assert row[:3] not in self.attempts
            self.attempts[row[:3]] = row
        for row in verdict_rows(joined):
            self.verdicts[row[:2]] = row
        for row in statement_rows(joined):
            self.statements[row[:4]] = row
        for key, body in verdict_records(joined):
            record = orjson.loads(body)
            self.issued[key].append(record)
            if key not in self.newest or record["seq"] >= self.newest[key]["seq"]:
                self.newest[key] = record
        self.check_rows += joined.checks
        for check in joined.checks:
            self.checks[check.call_id, check.call_at, check.contract, check.version, check.rule] = check.result
        self.tally.update(joined.tally)
        self.differing += [
            r.detail.split("'")[1] for r in joined.refused if r.detail.startswith("another call has this call_id: ")
        ]
        for refusal in joined.refused:
            self.dead[refusal.reason, refusal.call_id] += 1
            if refusal.reason in {"conflict", "no_verdict"} and "outcome_id" in refusal.detail:
                self.details[refusal.call_id, refusal.detail] += 1
        names = joined.changes.names
        for code, minute, *counts in zip(*(c.tolist() for c in joined.changes.cells), strict=True):
            for name, count in zip(("calls", "successes", "failures", "expired", "cost"), counts, strict=True):
                self.cells[names[code], minute, name] += count
                if joined.changes.segments and (segment := joined.changes.segments[code]):
                    self.segment_cells[names[code], segment, minute, name] += count
        for code, minute, bucket, count in zip(*(c.tolist() for c in joined.changes.latencies), strict=True):
            self.latencies[names[code], minute, bucket] += count
        for code, *delay, count in zip(*(c.tolist() for c in joined.changes.delays), strict=True):
            self.delays[(names[code], *delay)] += count
        grouped = self.groups.process(joined.changes)
        for code, source, *rest, sign in zip(*(c.tolist() for c in grouped.opinions), strict=True):
            self.opinions[(grouped.names[code], grouped.sources[source], *rest)] += sign
        for code, _, hour, rule, *counts in zip(*(c.tolist() for c in grouped.checks), strict=True):
            for result, count in zip(RESULTS, counts, strict=True):
                self.check_counts[grouped.names[code], *grouped.rules[rule][:3], hour, result] += count
        if grouped.closed is not None:
            closed = grouped.closed
            for code, minute, rule, *counts in rows(closed.checks):
                for result, count in zip(RESULTS, counts, strict=False):
                    self.check_trials[closed.names[code], minute, *closed.rules[rule][:3], result] += count
            for code, minute, *counts in zip(*(c.tolist() for c in closed.trials), strict=True):
                assert minute < closed.through
                for name, count in zip(("ts", "tf", "s", "f", "calls"), counts, strict=True):
                    self.trials[closed.names[code], minute, name] += count
            self._add_dated(closed)
            self._add_responses(closed)
            for code, minute, segment, *counts in rows(closed.stratified):
                for good, count in zip((True, False), counts, strict=True):
                    self.segment_trials[closed.names[code], minute, closed.segments[segment], good] += count
            self._add_values(closed)
            self._add_attempts(closed)

    def _complete(self, key: tuple[str, int], filled: list[Any]) -> None:
        """As the snapshot does: what a record filled was absent; of the numbers of tool calls the greatest counts."""
        row, number = list(self.calls[key]), filled.pop()
        for place, value in enumerate(filled, len(row) - 1 - len(filled)):
            if value is not None:
                assert row[place] in (None, "{}")
                row[place] = value
        row[-1] = max((known for known in (row[-1], number) if known is not None), default=None)
        self.calls[key] = tuple(row)

    def _add_responses(self, closed: Closed) -> None:
        names, sources = closed.names, closed.sources
        for code, minute, source, *rest, statements, trials in rows(closed.responses):
            success, bucket = rest
            said = None if success < 0 else success
            self.responses["statements"][names[code], minute, sources[source], said, bucket] += statements
            self.responses["trials"][names[code], minute, sources[source], said, bucket] += trials
        for code, minute, source, success, bucket, unit, count in rows(closed.opinion_trials):
            assert count
            self.opinion_trials[names[code], minute, sources[source], bool(success), bucket, unit] += count
        for code, minute, source, level, count in rows(closed.scores):
            self.responses["scores"][names[code], minute, sources[source], level] += count
        for code, minute, success, bucket, count in rows(closed.delays):
            self.responses["delays"][names[code], minute, success, bucket] += count
        for code, minute, source, success, count in rows(closed.slices):
            self.responses["slices"][names[code], minute, sources[source], success] += count
        for code, minute, error, count in rows(closed.failed):
            self.responses["errors"][names[code], minute, closed.errors[error]] += count

    def _add_attempts(self, closed: Closed) -> None:
        for code, minute, _, count in rows(closed.attempts):
            self.tried[closed.names[code], minute] += count
        for code, minute, *unit, count in rows(closed.units):
            assert count
            self.units[(closed.names[code], minute, *unit)] += count
        for code, minute, facets, success, count in rows(closed.facets):
            assert count
            self.facets[closed.names[code], minute, frozenset(facet_values(facets).items()), success] += count

    def _add_dated(self, closed: Closed) -> None:
        for code, minute, quarter, *counts in rows(closed.dated):
            for what, count in zip(("success", "failure", "calls"), counts, strict=True):
                self.dated[closed.names[code], minute, quarter, what] += count

    def _add_values(self, closed: Closed) -> None:
        for code, minute, at, key, *values in zip(*(column.tolist() for column in closed.values), strict=True):
            for metric, value in zip(("latency_ms", "cost_usd", "tokens"), values, strict=True):
                if value >= 0:
                    self.values[closed.names[code], minute, at, key, metric, value] += 1

    @property
    def watermark(self) -> int:
        """The final watermark."""
        return min(join.watermark for join in self.joins.values())


def rows(table: Any) -> list[tuple[int, ...]]:
    """The rows of a message's table; none may have come before, as (minute, code, ...) they ascend."""
    listed = list(zip(*(column.tolist() for column in table), strict=True))
    assert all((a[1], a[0], *a[2:]) < (b[1], b[0], *b[2:]) for a, b in pairwise(listed))
    return listed


Cut = Callable[[int], list[int]]
__all__ = ["NEVER", "Direct", "join_rules"]
