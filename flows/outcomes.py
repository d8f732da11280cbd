"""Shows the whole dataflow on one screen: lanes, steps and sinks.

Run it with `aftercall replay`, or with Bytewax itself:

    python -m bytewax.run "flows.replay:flow(calls=['calls.jsonl'], outcomes=['outcomes.jsonl'], out='out')"
"""

from __future__ import annotations

from typing import Any, NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.outputs import FixedPartitionedSink

from connectors.dead_letters import file_origin
from connectors.segments.sink import SEGMENTS_PART, SegmentSink
from flows.dataflow import outputs, session_shards
from flows.dataflow.enveloped import enveloped_sink, enveloped_source
from flows.dataflow.judging import unlearned_source
from flows.dataflow.published_checks import violations
from flows.dataflow.shards import SHARDS, to_shards
from flows.dataflow.steps import (
    Build,
    Joining,
    alerting_step,
    drift_step,
    groups_step,
    is_segment,
    join_step,
    routing_step,
    sessions_step,
    trust_step,
)
from flows.dataflow.stored_state import Keeping
from flows.settings import Settings
from flows.settings.for_models import (
    FOR_EVER,
    Ends,
    alert_settings,
    counted_segments,
    drift_settings,
    group_caps,
    join_rules,
    routing_settings,
    session_rules,
    trust_settings,
)
from models.alarms.rule_alerts import NO_RULE_ALERTS, RuleAlerts
from models.state import Envelopes

Sink = FixedPartitionedSink[Any, Any]


class Outlets(NamedTuple):
    """The sink of each output; each is partitioned, as others would lose records in a crash (docs/architecture.md)."""

    verdicts: Sink
    alerts: Sink
    recommendations: Sink
    trust: Sink
    dead_letters: Sink
    snapshot: Sink
    checks: Sink | None = None
    """Of violations, where these are published."""


def outcomes(
    settings: Settings,
    lanes: Source[Any],
    outlets: Outlets,
    origin: outputs.Origin = file_origin,
    keeping: Keeping | None = None,
    joining: Joining | None = None,
    read_until: Ends = FOR_EVER,
    on_rules: RuleAlerts = NO_RULE_ALERTS,
) -> Dataflow:
    """Build the dataflow: calls and outcomes in; verdicts, rates, alerts, recommendations, trust, snapshot out.

    `read_until`: when the last call and the last outcome of files that are read to their end occurred, microseconds.
    `on_rules`: rules of contracts that raise alerts.
    """
    flow, kept = Dataflow("outcomes"), keeping or Keeping(Envelopes())
    outlets = Outlets._make(None if sink is None else enveloped_sink(sink, kept) for sink in outlets)
    states: list[Any] = []

    def step(name: str, messages: Any, build: Build) -> Any:
        """A stateful step; the segments of its state go to their sink."""
        parted = op.branch(f"{name}_state", op.stateful_batch(name, messages, build), is_segment)
        states.append(parted.trues)
        return parted.falses

    batches = op.input("lanes", flow, enveloped_source(lanes, kept.envelopes))
    parts = op.flat_map("split_sessions", batches, session_shards.to_sessions)
    resolved = step("sessions", parts, sessions_step(session_rules(settings), kept, joining or Joining()))
    own = op.flat_map("split", batches, to_shards)
    arrivals = op.merge("arrivals", own, op.flat_map("answers", resolved, session_shards.to_join))
    rules, watched = join_rules(settings), frozenset(settings.drift.sources)
    beside = (joining or Joining())._replace(segments=counted_segments(settings), watched=watched)
    joined = step("join", arrivals, join_step(rules, kept, beside, answers=len(SHARDS)))
    changes = op.map("to_groups", joined, lambda item: ("groups", item[1].changes))
    unlearned = unlearned_source(settings, judged=beside.judge is not None)
    grouped = step("groups", changes, groups_step(group_caps(settings), kept, unlearned))
    closed = op.filter_map("to_drift", grouped, lambda item: item[1].closed and ("drift", item[1].closed))
    detected = step("drift", closed, drift_step(drift_settings(settings, read_until, on_rules), kept))
    to_alerting = op.map("to_alerting", detected, lambda item: ("alerting", item[1]))
    alerted = step("alerting", to_alerting, alerting_step(alert_settings(settings, on_rules), kept))
    to_routing = op.map("to_routing", alerted, lambda item: ("routing", item[1]))
    recommendations = step("routing", to_routing, routing_step(routing_settings(settings), kept))
    to_trust = op.map("to_trust", alerted, lambda item: ("trust", item[1]))
    scores = step("trust", to_trust, trust_step(trust_settings(settings), kept))

    verdicts = op.flat_map("verdicts", joined, outputs.verdicts)
    unreadable = op.flat_map("unreadable", batches, outputs.unreadable(settings, origin))
    unjoined = op.flat_map("unjoined", joined, outputs.unjoined(settings, origin))
    unresolved = op.flat_map("unresolved", resolved, outputs.unresolved(settings, origin))
    unmarked = op.flat_map("unmarked", grouped, outputs.unmarked(settings, origin))
    letters = op.merge("dead_letters", unreadable, unresolved, unjoined, unmarked)
    drifted = op.flat_map("drifted", alerted, outputs.drifted)
    folded = op.flat_map("folded", grouped, outputs.folded(settings))
    crowded = op.flat_map("crowded", resolved, outputs.crowded(settings))
    alerts = op.merge("alerts", drifted, folded, crowded)
    recommended = op.map("recommended", recommendations, outputs.recommended)
    trusted = op.map("trusted", scores, outputs.trusted)

    op.output("verdicts_out", verdicts, outlets.verdicts)
    alerts_json = op.map("alerts_json", alerts, outputs.keyed_json)
    recommendations_json = op.map("recommendations_json", recommended, outputs.keyed_json)
    # These three sinks publish only once an epoch is stored, so every epoch needs a message to them.
    heartbeats = op.map("signs_of_life", batches, outputs.heartbeat)
    op.output("alerts_out", op.merge("alerts_and_signs", alerts_json, heartbeats), outlets.alerts)
    op.output(
        "recommendations_out",
        op.merge("recommendations_and_signs", recommendations_json, heartbeats),
        outlets.recommendations,
    )
    trust_json = op.map("trust_json", trusted, outputs.keyed_json)
    op.output("trust_out", op.merge("trust_and_signs", trust_json, heartbeats), outlets.trust)
    if outlets.checks is not None:
        op.output("checks_out", op.flat_map("violations", joined, violations), outlets.checks)
    op.output("dead_letters_out", op.map("letters_json", letters, outputs.letter_json), outlets.dead_letters)

    history = op.merge(
        "history",
        op.flat_map("read", batches, outputs.read_history),
        op.flat_map("resolved_history", resolved, outputs.resolved_history),
        op.flat_map("joined_history", joined, outputs.joined_history(settings)),
        op.flat_map("cells", grouped, outputs.cell_history),
        op.flat_map("mark_history", grouped, outputs.mark_history),
        op.flat_map("letter_history", letters, outputs.letter_history),
        op.flat_map("alert_history", alerts, outputs.alert_history),
        op.flat_map("digest_history", alerted, outputs.digest_history),
        op.flat_map("suspicion_history", alerted, outputs.suspicion_history),
        op.flat_map("design_effects", alerted, outputs.design_effects),
        op.flat_map("recommendation_history", recommended, outputs.recommendation_history),
        op.flat_map("trust_history", trusted, outputs.trust_history),
    )
    op.output("snapshot_out", history, outlets.snapshot)
    if kept.folder is not None:
        segments = op.map("segments", op.merge("states", *states), lambda item: (SEGMENTS_PART, item[1]))
        signs = op.map("segment_signs", batches, lambda _: (SEGMENTS_PART, None))
        sink = enveloped_sink(SegmentSink(kept.folder), Keeping(kept.envelopes))
        op.output("segments_out", op.merge("segments_and_signs", segments, signs), sink)
    return flow
