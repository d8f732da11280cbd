"""What a start reads of a run's folder: every file, and every state as the steps, the source and the sinks load it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xxhash import xxh3_128_hexdigest

from connectors.decode.decoder import Decoder
from connectors.files.jsonl_sink import JsonlSink
from connectors.files.lane import FileLanes, Index
from flows.dataflow.enveloped import EnvelopedSource, enveloped_sink
from flows.dataflow.shards import SHARDS
from flows.dataflow.snapshot_sink import SnapshotSettings, SnapshotSink
from flows.dataflow.stored_state import Keeping, Loaded, Tracked
from flows.runtime.run_folder import OUTPUTS, STOPPED, Run, read_run
from flows.runtime.state_store import digest, open_store
from flows.settings import Settings
from flows.settings.for_models import alert_settings, drift_settings, group_caps, join_rules, routing_settings
from models import plain
from models.alerts import Alerting
from models.drift import Drift
from models.groups import Groups
from models.join import Join, merged_shard
from models.routing import Routing
from states import comparison, stored

Model = Callable[[Any], Any]


def opened(out: Path, keeping: Keeping) -> tuple[Run, str]:
    """What is read before Bytewax does: what the run is, and a hash of all its states."""
    state = out / "state"
    run = read_run(state)
    open_store(state, keeping, begun=True, stopped=run[STOPPED])
    return run, digest(state)


def resumed(out: Path, keeping: Keeping, settings: Settings, files: Index, *, published: bool) -> dict[str, Any]:
    """All that a resumed replay goes on from: hashes of its states and outputs; with `published` the tables too."""
    found: dict[str, Any] = {"run": opened(out, keeping)}
    models = _models(settings)
    for state in stored.states(out):
        step, data = state.step.rpartition(".")[2], stored.given(state)
        if step in models:
            of_model, merge = models[step]
            model = of_model(dict(Loaded(keeping, step, data, None).state(merge)))
            found[f"{step}/{state.key}"] = xxh3_128_hexdigest(plain.pack(model.state()))
        elif step == "lanes":
            lanes = EnvelopedSource(FileLanes(files, Decoder(now_us=0, max_future_skew_us=0)), keeping.envelopes)
            lanes.build_part(state.step, state.key, data).close()
        elif step == "snapshot_out":
            # Bytewax builds it as it builds all others; it opens the live database.
            part = _snapshot(out, keeping).build_part(state.step, state.key, data)
            (part.close if published else part.abandon)()
        elif state.key in OUTPUTS:
            enveloped_sink(JsonlSink(out / state.key), keeping).build_part(state.step, state.key, data).close()
            found[state.key] = xxh3_128_hexdigest((out / state.key).read_bytes())
    if published:
        found["tables"] = comparison.tables(out)
    return found


def steps_in(found: dict[str, Any]) -> Counter[str]:
    """How many states of each step `resumed` loaded."""
    return Counter(name.partition("/")[0] for name in found)


def _snapshot(out: Path, keeping: Keeping) -> Any:
    return enveloped_sink(SnapshotSink(SnapshotSettings(folder=out, live=False)), keeping)


def _models(settings: Settings) -> dict[str, tuple[Model, Any]]:
    rules, caps = join_rules(settings), group_caps(settings)
    drift, alerts, routing = drift_settings(settings), alert_settings(settings), routing_settings(settings)
    return {
        "join": (lambda state: Join.from_state(state, rules), merged_shard),
        "groups": (lambda state: Groups.from_state(state, len(SHARDS), caps), Tracked.merge),
        "drift": (lambda state: Drift.from_state(state, drift), Tracked.merge),
        "alerting": (lambda state: Alerting.from_state(state, alerts), Tracked.merge),
        "routing": (lambda state: Routing.from_state(state, routing), Tracked.merge),
    }
