"""Turns violations of contracts into records of the topic `agent.checks`."""

from __future__ import annotations

from collections.abc import Iterable

from aftercall.check_record import CheckRecord
from aftercall.records import to_json
from aftercall.times import to_datetime
from flows.dataflow.outputs import Block
from models.join import Joined
from models.side_messages import CheckRow


def violations(item: tuple[str, Joined]) -> list[Block]:
    """Records of topic `agent.checks`, a block per shard: those of a call always take the same sink partition."""
    records = check_records(item[1].checks)
    return [(item[0], records)] if records else []


def check_records(rows: Iterable[CheckRow]) -> list[tuple[str, bytes | None]]:
    """The violations among what rules found, as (key, JSON) each; some 10 us per record."""
    return [(row.call_id, to_json(_record(row))) for row in rows if row.result == "fail"]


def _record(row: CheckRow) -> CheckRecord:
    task_type, model, config = row.group
    return CheckRecord.sealed(
        call_id=row.call_id,
        call_occurred_at=to_datetime(row.call_at),
        task_type=task_type,
        model=model,
        config=config,
        contract=row.contract,
        contract_version=row.version,
        rule=row.rule,
        type=row.type,
        severity=row.severity,
        result=row.result,
        actual=row.actual,
        threshold=row.threshold,
        details=row.details,
    )
