"""Opens the folder of a service: the state in it must be that of this run, which goes on or begins."""

from __future__ import annotations

import time
from pathlib import Path
from secrets import token_hex

from connectors.kafka.progress_board import ProgressBoard
from connectors.kafka.waiting_board import WaitingBoard
from flows.dataflow.shards import SHARDS
from flows.runtime.contract_starts import starts_of
from flows.runtime.run_folder import PICKLED, RUN_ID, STOPPED, VERSION, Run, open_run, write_run
from flows.runtime.state_store import keeping_of, open_store
from flows.service.service_run import ServiceRun
from flows.settings import Settings


def resume(service: ServiceRun, state: Path, cluster_id: str) -> Run:
    """Check that the state in the folder belongs to this run; gives what `run.json` has.

    Raises:
        UsageError: the folder holds another run.
        StateError: a later version wrote the state, or a checksum does not match.
        RunError: the folder cannot be used.
    """
    begun = (state / "run.json").exists()
    wanted = _described(service.settings, cluster_id)
    current = open_run(service.out, wanted, accept_config_change=service.accept_config_change)
    keeping = keeping_of(service.settings, state)
    open_store(
        state,
        keeping,
        begun=begun,
        old=current["version"] == PICKLED,
        unsealed=service.accept_unsealed_state,
        stopped=current.pop(STOPPED, None),
    )
    starts = starts_of(service.settings, current, state, keeping)
    if RUN_ID not in current or service.accept_unsealed_state or starts:
        current = {RUN_ID: token_hex(8)} | current | starts
        write_run(state, current)
    # Here, where there is one process: two that make such a file at the same time cut it off while the other maps it.
    WaitingBoard(state / "waiting", len(SHARDS))
    ProgressBoard(state / "lead", service.settings.kafka.lanes)
    return current


def _described(settings: Settings, cluster_id: str) -> Run:
    topics = settings.kafka.topics
    return {
        "version": VERSION,
        "calls": [topics.calls],
        "outcomes": [topics.outcomes],
        "fingerprint": f"kafka {cluster_id} {topics.calls} {topics.outcomes} {settings.kafka.lanes}",
        "deciding": settings.deciding(),
        "settings": settings.effective(),
        "now_us": time.time_ns() // 1000,
        "finished": False,
    }
