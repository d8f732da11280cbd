"""Runs one night of a golden set: asks, holds it against the nights before, and alarms."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np

from aftercall.errors import ExitCode, UserError
from aftercall.evals.results import CaseResult
from aftercall.records import Alert
from connectors.suites.gate_tables import GateTables, Night
from connectors.suites.reading import read_dataset
from connectors.suites.runs_file import RunsFile
from flows.evaluation.agents import agent_of
from flows.evaluation.asking import Ask, How, ask_all
from flows.evaluation.gate_view import gate_lines
from flows.evaluation.gating import GateOptions, GateReport, hold_against
from flows.evaluation.golden_alert import append_alert, next_alert, send_alert
from flows.evaluation.history import LAST, History, history_of
from flows.evaluation.plan import EvalPlan, contracts_of, scorer_of
from flows.evaluation.running import Evaluated, evaluate
from flows.evaluation.verdict import Ending, ending_of
from flows.reports.words import counted, percent
from flows.settings import Settings
from flows.settings.golden import Golden
from models.evaluation import ENOUGH_RUNS, MeanRule, alarms_falsely, falls_under_mean

_NS_PER_US: Final = 1000
_SEED: Final = 17


class NightError(UserError):
    """A night cannot be run now."""


@dataclass(frozen=True)
class GoldenNight:
    """What came of a night.

    `ending` has the exit code: 3 where it alarms, 4 where it cannot be judged. `lines` are for people, `alert` is the
    record that was issued, if any, and `sent` says where it is.
    """

    name: str
    night: date
    evaluated: Evaluated
    ending: Ending
    gate: GateReport
    mean: MeanRule | None
    alert: Alert | None = None
    sent: str = ""

    @property
    def alarms(self) -> bool:
        """Whether it found a regression."""
        return self.ending.code == ExitCode.NO

    def lines(self) -> Iterator[str]:
        """What happened, line by line."""
        summary = self.evaluated.summary
        passed = summary.total_cases - summary.failed_cases - summary.unscored_cases
        yield (
            f"{self.name}, night of {self.night}: {passed:,} of {counted(summary.total_cases, 'case')} passed, "
            f"run {self.evaluated.run.run_id}"
        )
        if self.mean is None:
            yield from gate_lines(self.gate)
        else:
            yield mean_sentence(self.mean)
        yield f"{'ALARM: ' if self.alarms else ''}{self.ending.reason}"
        if self.alert is not None:
            yield f"alert {self.alert.alert_id} {self.alert.state}: {self.sent}"


def run_night(
    name: str,
    settings: Settings,
    night: date,
    report: Callable[[int, int], None] | None = None,
    *,
    again: bool = False,
    accept: bool = False,
) -> GoldenNight | None:
    """Run a night to its end, unless it was run before; what was interrupted is resumed.

    Args:
        name: of the `[golden.NAME]`.
        settings: with it, and with where alerts go.
        night: its date.
        report: called as answers come.
        again: run it although it was run before.
        accept: rows that have regressed are right from this night on: they do not alarm.

    Returns:
        None where it was run before.

    Raises:
        NightError: another process runs it now.
        UserError: the data set, the agent or the file of runs cannot be used.
    """
    golden = settings.golden[name]
    with RunsFile(Path(golden.runs)) as file, GateTables(file.path) as tables, _alone(file.path, name):
        nights = {one.night: one for one in tables.nights(name)}
        this = Night(name, night.isoformat(), time.time_ns() // _NS_PER_US)
        before = nights.get(this.night)
        if before is not None and before.exit_code is not None and not again:
            return None
        tables.begin_night(this)
        found = _judged(name, settings, night, file, tables, report, accept=accept)
        open_alert = _open_alert(nights, this.night)
        found, still_open = _alerted(found, golden, settings, open_alert, file.path.parent)
        tables.end_night(
            this._replace(run_id=found.evaluated.run.run_id, exit_code=int(found.ending.code), alert=still_open)
        )
        file.end(found.evaluated.run.run_id)
    return found


def mean_sentence(mean: MeanRule) -> str:
    """What the rule of the mean found, with how often it is false on this set."""
    return (
        f"score {mean.score:.3f}, the mean of the nights before is {mean.mean:.3f}; on this set the rule alarms "
        f"falsely in {percent(mean.false_alarms)} of nights"
    )


def _judged(
    name: str,
    settings: Settings,
    night: date,
    file: RunsFile,
    tables: GateTables,
    report: Callable[[int, int], None] | None,
    *,
    accept: bool,
) -> GoldenNight:
    golden = settings.golden[name]
    agent = agent_of(golden.agent, settings.eval)
    contracts = contracts_of([Path(one) for one in golden.contract])
    plan = EvalPlan(
        golden.dataset, read_dataset(Path(golden.dataset)), agent.name, contracts, golden.score, golden.repeat
    )
    scorer, how = scorer_of(plan), How(golden.concurrency, golden.timeout.total_seconds())

    def ask(tasks: Iterable[Ask]) -> Iterator[CaseResult]:
        return ask_all(agent, scorer, tasks, how)

    try:
        evaluated = evaluate(plan, agent, scorer, file, how, recorded=True, report=report)
        options = GateOptions(LAST, golden.max_regressed, confirm=golden.rule == "rows", accept=accept)
        history = history_of(plan, LAST, file, tables)
        evaluated, gate = hold_against(evaluated, options, file, tables, ask)
    finally:
        agent.close()
    ending, mean = ending_of(evaluated.summary, None), None
    if ending.code != ExitCode.UNDECIDED and golden.rule == "mean":
        mean, ending = _by_mean(evaluated, history)
    elif ending.code != ExitCode.UNDECIDED:
        ending = _by_rows(gate)
    return GoldenNight(name, night, evaluated, ending, gate, mean)


def _by_rows(gate: GateReport) -> Ending:
    """Without a history to judge by, a night is not good: it cannot be judged."""
    if gate.rule == "plain":
        return Ending(ExitCode.UNDECIDED, f"{counted(gate.runs, 'night')} before, and {ENOUGH_RUNS} are needed")
    return gate.ending


def _by_mean(evaluated: Evaluated, history: History) -> tuple[MeanRule | None, Ending]:
    nights = len(history.runs)
    if nights < ENOUGH_RUNS:
        return None, Ending(ExitCode.UNDECIDED, f"{counted(nights, 'night')} before, and {ENOUGH_RUNS} are needed")
    with np.errstate(invalid="ignore"):
        scores = np.array([float(np.nanmean(of_night)) for of_night in history.scores if not np.isnan(of_night).all()])
    false = alarms_falsely(history.scores, history.passed, _SEED)
    mean = falls_under_mean(scores, evaluated.summary.avg_score or 0.0, false)
    code = ExitCode.NO if mean.alarms else ExitCode.DONE
    return mean, Ending(code, f"the score is {mean.score:.3f}, and {0.95 * mean.mean:.3f} are required")


def _alerted(
    found: GoldenNight, golden: Golden, settings: Settings, before: Alert | None, folder: Path
) -> tuple[GoldenNight, str | None]:
    """The night with the alert that it issued, and the newest record of the alert that is open after it, as JSON."""
    still_open = None if before is None else before.model_dump_json()
    if found.ending.code == ExitCode.UNDECIDED:
        return found, still_open
    alert = next_alert(
        f"eval:{found.name}",
        found.night,
        before,
        alarms=found.alarms,
        rates=(_rate_before(found), found.evaluated.summary.pass_rate),
        reason=_reason(found, golden),
        evidence=_evidence(found, golden),
    )
    if alert is None:
        return found, still_open
    sent = _delivered(alert, settings, folder)
    found = replace(found, alert=alert, sent=sent)
    return found, alert.model_dump_json() if found.alarms else None


def _delivered(alert: Alert, settings: Settings, folder: Path) -> str:
    """To the topic where there is one; an alert that the broker does not take is in the file, and says why."""
    if "kafka" not in settings.model_fields_set:
        return str(append_alert(alert, folder))
    try:
        return f"topic {send_alert(alert, settings.kafka)}"
    except UserError as wrong:
        return f"{append_alert(alert, folder)}, as {wrong}"


def _rate_before(found: GoldenNight) -> float | None:
    return found.mean.mean if found.mean is not None else found.gate.rate_before


def _reason(found: GoldenNight, golden: Golden) -> str:
    if found.mean is not None:
        return f"golden set {found.name}: {mean_sentence(found.mean)}"
    names = ", ".join(row.case_id for row in found.gate.regressed)
    if not found.alarms:
        return f"golden set {found.name}: at most {golden.max_regressed} rows have regressed{names and f' ({names})'}"
    return f"golden set {found.name}: {counted(len(found.gate.regressed), 'row')} have regressed: {names}"


def _evidence(found: GoldenNight, golden: Golden) -> dict[str, Any]:
    gate, mean = found.gate, found.mean
    return {
        "golden": found.name,
        "dataset": golden.dataset,
        "agent": found.evaluated.plan.agent,
        "run_id": found.evaluated.run.run_id,
        "night": found.night.isoformat(),
        "rule": golden.rule,
        "rows": [] if mean is not None else [row.case_id for row in gate.regressed],
        "doubtful": [] if mean is not None else [row.case_id for row in gate.doubtful],
        "runs": gate.runs,
        "false_alarm_rate": None if mean is None else mean.false_alarms,
    }


def _open_alert(nights: dict[str, Night], until: str) -> Alert | None:
    earlier = [one for one in nights.values() if one.night < until and one.exit_code is not None]
    if not earlier or earlier[-1].alert is None:
        return None
    return Alert.parse(earlier[-1].alert)


@contextlib.contextmanager
def _alone(runs: Path, name: str) -> Iterator[None]:
    """Hold the lock of a golden set; the system lets it go whatever ends the process."""
    path = runs.with_name(f"{runs.name}.golden-{_plain(name)}.lock")
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NightError(
                f"[golden.{name}]: a night is run by one process at a time; another runs it now (wait until it ends)"
            ) from None
        yield
    finally:
        os.close(handle)


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
