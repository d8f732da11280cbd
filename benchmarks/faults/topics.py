"""Topics are not what they were: made again, cut, with other records at the same offsets, behind a transaction."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.faults.findings import Tolerance
from benchmarks.faults.stage import Stage
from benchmarks.faults.topic_tools import add_partitions, expire, kept_logs, open_transaction, put_back, recreate
from benchmarks.kill_traffic import PARTITIONS

_STILL_S: Final = 6.0
_ACCEPT: Final = "--accept-data-loss"


def recreated_while_stopped(stage: Stage) -> None:
    """Both input topics deleted and made again while it is stopped, and longer than before."""
    stage.started(0.3)
    stage.stop()
    _recreate(stage)
    stage.write(0.8)
    stage.refused(1, "must resume at offset", "was created", _ACCEPT)
    stage.finish(_ACCEPT)


def recreated_while_it_runs(stage: Stage) -> None:
    """Both input topics deleted and made again while it runs."""
    stage.horizon(20)
    stage.started(0.3)
    _recreate(stage)
    stage.write(0.8)
    stage.ends(1, _ACCEPT)
    # What was read of the new topics before that was noticed comes again, as duplicates.
    stage.tolerance = Tolerance(reread=True)
    stage.finish(_ACCEPT)


def fewer_partitions(stage: Stage) -> None:
    """Input topics made again with fewer partitions."""
    stage.started(0.3)
    stage.stop()
    stage.spread_over(1)
    _recreate(stage)
    stage.write(0.6)
    stage.refused(1, "must still have partition", _ACCEPT)
    stage.finish(_ACCEPT)


def more_partitions(stage: Stage) -> None:
    """Input topics get more partitions while it runs."""
    stage.started(0.3)
    for topic in stage.inputs.values():
        add_partitions(stage.broker.client, topic, PARTITIONS + 2)
    stage.connect(stage.broker.client)
    stage.spread_over(PARTITIONS + 2)
    stage.finish()


def expired_unread(stage: Stage) -> None:
    """Retention drops records before they are read."""
    stage.started(0.3)
    stage.stop()
    before = len(stage.sent)
    stage.write(0.6)
    expire(stage.broker.client, stage.inputs["calls"], 2)
    stage.expired("calls", 2, before)
    stage.refused(1, stage.inputs["calls"], _ACCEPT)
    stage.finish(_ACCEPT)


def replaced_at_their_offsets(stage: Stage) -> None:
    """An unclean election: other records at the offsets that were read."""
    stage.horizon(20)
    stage.write(0.3)
    kept = len(stage.sent)
    stage.broker.stop()
    logs = kept_logs(stage.broker, stage.inputs.values(), PARTITIONS, stage.folder / "logs")
    stage.broker.start()
    stage.write(0.4)
    stage.start()
    stage.reads_all()
    stage.stop()
    stage.broker.stop()
    put_back(logs, stage.folder / "logs")
    stage.broker.start()
    stage.connect(stage.broker.client)
    stage.rewound(kept)
    stage.write(0.8)
    stage.refused(1, "must resume at offset", "unclean election", _ACCEPT)
    # All that stands there now is read from the beginning; what stands there no more was counted before.
    stage.tolerance = Tolerance(reread=True)
    stage.finish(_ACCEPT)


def open_transaction_on_calls(stage: Stage) -> None:
    """An open transaction on a partition of calls, with calls behind it."""
    stage.started(0.3)
    topic = stage.inputs["calls"]
    transaction = open_transaction(stage.broker.client, topic, 0, "aborted", b"{}")
    stage.offset_taken("calls", 0)
    before = len(stage.sent)
    stage.write(0.6)
    behind = sum(record.kind == "calls" and record.partition == 0 for record in stage.sent[before:])
    stage.until(lambda: (stage.metric("aftercall_consumer_lag_records", topic=topic) or 0) >= behind, "lag says so")
    time.sleep(_STILL_S)
    if (lag := stage.metric("aftercall_consumer_lag_records", topic=topic) or 0) < behind:
        stage.findings.add("silent", f"behind an open transaction lag must be at least {behind}; got {lag}")
    transaction.abort_transaction(60)
    stage.offset_taken("calls", 0)  # by the mark of its end
    stage.finish()


def _recreate(stage: Stage) -> None:
    recreate(stage.broker.client, stage.inputs.values(), stage.partitions)
    stage.connect(stage.broker.client)
    stage.rewound(0)


FAULTS: Final = (
    recreated_while_stopped, recreated_while_it_runs, fewer_partitions, more_partitions, expired_unread,
    replaced_at_their_offsets, open_transaction_on_calls,
)  # fmt: skip
