"""Emits each answer of a suite as a call and an outcome, so that rates, drift and snapshots have it (`--emit`)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from aftercall.destinations import chosen, transport_of
from aftercall.emitter import Emitter
from aftercall.errors import UsageError
from aftercall.evals.case import EvalCase, plain_hash
from aftercall.evals.results import CaseResult
from aftercall.events import MAX_CALL_ID
from aftercall.names import plain_name
from aftercall.times import format_time
from aftercall.wire_parts import MAX_TEXT
from connectors.suites.fault_rows import FaultRows

SOURCE: Final = "eval"
TASK: Final = "eval:"
FLUSH_S: Final = 60.0
_PRIVATE: Final = frozenset({"input", "output"})
_NUMBERS: Final = ("tokens_in", "tokens_out", "tokens")
_LONGEST_REASON: Final = 1000
_NS_PER_US: Final = 1000


def task_type_of(dataset: str) -> str:
    """The task type of a data set's answers: `eval:` and the name of its file without the ending.

    >>> task_type_of("suites/refund.jsonl")
    'eval:refund'
    """
    return f"{TASK}{plain_name(Path(dataset).name.partition('.')[0]) or 'suite'}"[:MAX_TEXT]


class SuiteEmitter:
    """Sends answers where the SDK sends calls: to `AFTERCALL_KAFKA`, `AFTERCALL_URL` or the folder `AFTERCALL_FILE`."""

    def __init__(self, dataset: str, cases: Sequence[EvalCase]) -> None:
        """Find the destination; nothing is opened before the first answer.

        Raises:
            UsageError: the environment names none.
        """
        destination = chosen(None, None, None)
        if destination is None:
            raise UsageError(
                "--emit: needs a destination; the environment names none"
                " (set AFTERCALL_KAFKA, AFTERCALL_URL or AFTERCALL_FILE)"
            )
        self._emitter = Emitter(transport_of(destination, None, {}), spool=None, on_full="block", block_s=FLUSH_S)
        self._task = task_type_of(dataset)
        self._cases = {case.id: case for case in cases}

    def __call__(self, run_id: str, result: CaseResult, rows: FaultRows) -> None:
        """Emit one answer: a call, and an outcome where it was scored.

        Args:
            run_id: of the run.
            result: of the answer.
            rows: with its record, empty where there was no answer. Texts are not sent.
        """
        record = rows.record
        case = self._cases.get(result.case_id)
        now_us = time.time_ns() // _NS_PER_US
        call = call_of(self._task, run_id, result, record, {} if case is None else case.metadata, now_us)
        self._emitter.emit("calls", call["call_id"], lambda: call)
        if result.score is not None and result.error is None:
            outcome = outcome_of(call, result, now_us)
            self._emitter.emit("outcomes", call["call_id"], lambda: outcome)

    def close(self) -> str | None:
        """Wait until all is sent, a minute at most; a sentence if some of it was not."""
        self._emitter.flush(FLUSH_S)
        stats = self._emitter.stats()
        self._emitter.close(FLUSH_S)
        lost = stats.emitted - stats.acknowledged - stats.skipped
        return (
            None
            if not lost
            else (
                f"--emit: {lost:,} of {stats.emitted:,} calls and outcomes did not reach their destination"
                " (check that it answers; `--new --emit` runs the suite again)"
            )
        )


def call_of(
    task: str, run_id: str, result: CaseResult, record: Mapping[str, Any], metadata: Mapping[str, Any], now_us: int
) -> dict[str, Any]:
    """The call of an answer. Its id depends on run, case, repeat and attempt alone."""
    took_us = 0 if not math.isfinite(result.latency_ms) else int(result.latency_ms * 1000)
    event: dict[str, Any] = {
        "call_id": _call_id(run_id, result),
        "occurred_at": format_time(now_us - took_us),
        "task_type": task,
        "model": _text(record.get("model")) or "agent",
        "config": _text(record.get("config")) or "default",
        "attrs": {
            "eval_case": result.case_id[:MAX_TEXT],
            "eval_run": run_id,
            "eval_repeat": result.repeat,
            "eval_attempt": result.attempt,
        },
    }
    segment = _text(metadata.get("segment")) or _text(record.get("segment"))
    event |= {} if segment is None else {"segment": segment}
    event |= {name: record[name] for name in _NUMBERS if type(record.get(name)) is int and record[name] >= 0}
    event |= {} if not math.isfinite(result.latency_ms) else {"latency_ms": result.latency_ms}
    event |= {} if result.cost is None else {"cost_usd": result.cost}
    calls = record.get("tool_calls")
    if isinstance(calls, list | tuple):
        event["tool_calls"] = [_without_texts(call) for call in calls if isinstance(call, Mapping)]
    if result.error is not None and result.score is not None:
        event["error"] = result.error[:_LONGEST_REASON]
    return event


def outcome_of(call: Mapping[str, Any], result: CaseResult, now_us: int) -> dict[str, Any]:
    """The verdict of the suite on a call."""
    event = {
        "outcome_id": f"{call['call_id']}:score"[:MAX_TEXT],
        "call_id": call["call_id"],
        "occurred_at": format_time(now_us),
        "source": SOURCE,
        "success": result.passed,
        "score": result.score,
    }
    return event if result.passed else event | {"reason": result.reason[:_LONGEST_REASON]}


def _call_id(run_id: str, result: CaseResult) -> str:
    place = [result.case_id, result.repeat, result.attempt]
    return f"eval-{run_id}-{plain_hash(place)[:16]}"[:MAX_CALL_ID]


def _without_texts(call: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in call.items() if name not in _PRIVATE}


def _text(value: Any) -> str | None:
    return plain_name(value)[:MAX_TEXT] or None if isinstance(value, str) else None
