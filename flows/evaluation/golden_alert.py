"""Makes the alert of a golden set, and sends it to its topic, or appends it to a file beside the runs.

One cause has one alert: the night that finds it opens it, nights in which other rows have regressed update it, and the
first night without an alarm closes it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from aftercall.errors import UserError
from aftercall.records import Alert, alert_id, to_json
from aftercall.times import EPOCH
from flows.settings.sections import Kafka

KIND: Final = "golden"
METRIC: Final = "pass_rate"
ALERTS_FILE: Final = "golden_alerts.jsonl"
_CRITICAL_DROP: Final = 0.1
_SEND_S: Final = 30.0


class GoldenAlertError(UserError):
    """The alert could not be sent to its topic."""


def next_alert(
    task_type: str,
    night: date,
    before: Alert | None,
    *,
    alarms: bool,
    rates: tuple[float | None, float | None],
    reason: str,
    evidence: Mapping[str, Any],
) -> Alert | None:
    """The record that this night issues; None where nothing is to be said.

    Args:
        task_type: of the set, `eval:` and its name.
        night: the night's date; the number of an alert is that of the day on which it opened.
        before: the newest record of the alert that was open until now, if any.
        alarms: whether this night alarms.
        rates: pass rates of the nights before, and of this one.
        reason: in one sentence.
        evidence: of the night; `rows` are those that have regressed.
    """
    if before is None and not alarms:
        return None
    if before is not None and alarms and before.evidence.get("rows") == evidence.get("rows"):
        return None
    now = datetime.now(UTC).replace(microsecond=0)
    baseline, current = rates
    baseline = baseline if before is None else before.baseline
    drop = 0.0 if baseline is None or current is None else baseline - current
    return Alert.sealed(
        seq=1 if before is None else before.seq + 1,
        alert_id=before.alert_id
        if before is not None
        else alert_id(KIND, (task_type, None, None), METRIC, "down", (night - EPOCH.date()).days),
        state="opened" if before is None else "updated" if alarms else "closed",
        kind=KIND,
        severity="critical" if round(drop, 9) >= _CRITICAL_DROP else "warning",
        opened_at=now if before is None else before.opened_at,
        updated_at=now,
        closed_at=None if alarms else now,
        task_type=task_type,
        model=None,
        config=None,
        metric=METRIC,
        direction="down",
        baseline=baseline,
        current=current,
        effect_low=None,
        effect_high=None,
        changed_at=None,
        promise=None,
        reason=reason,
        evidence=dict(evidence),
    )


def append_alert(alert: Alert, folder: Path) -> Path:
    """Append a record to the file beside the runs, and return the file once it is on the disk.

    Raises:
        GoldenAlertError: the file cannot be written.
    """
    from connectors.files.single_lines import append_lines

    path = folder / ALERTS_FILE
    try:
        append_lines(path, [to_json(alert)])
    except OSError as wrong:
        raise GoldenAlertError(f"{path}: must be writable; {wrong.strerror} (check the disk)") from None
    return path


def send_alert(alert: Alert, kafka: Kafka) -> str:
    """Send a record to the topic of alerts through the SDK's transport; returns the topic once the broker has it.

    Raises:
        GoldenAlertError: the broker refuses it, or does not acknowledge it within 30 s.
    """
    from aftercall.transports.kafka import KafkaTransport
    from aftercall.transports.transport import Message, UnavailableError
    from connectors.kafka.client import reach

    cluster, topic = kafka.cluster(), kafka.topics.alerts
    # Sent to a topic that is missing, a record might have the broker create it, with settings of its own.
    if reach(cluster, outputs=[topic]).missing:
        raise GoldenAlertError(f"{topic}: the topic must exist (create it with `aftercall topics create`)")
    transport = KafkaTransport(cluster.brokers, cluster.properties(), calls=topic)
    until, reason = time.monotonic() + _SEND_S, f"no answer within {_SEND_S:.0f} s"
    try:
        transport.open()
        transport.offer([(1, Message("calls", alert.alert_id, to_json(alert)))])
        while time.monotonic() < until:
            for receipt in transport.receipts(0.2):
                if receipt.answer == "acknowledged":
                    return topic
                reason, until = receipt.reason, 0.0
    except (UnavailableError, RuntimeError) as wrong:
        reason = str(wrong)
    finally:
        transport.close(1.0)
    raise GoldenAlertError(f"{topic}: the broker must take the alert; {reason} (check it, and the section [kafka])")
