"""Asks an agent with its tools under faults, and keeps what was broken until the result is stored."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple
from urllib.parse import quote
from uuid import uuid4

from aftercall.evals.answer import Answer
from aftercall.evals.asked import ASKED, Asked
from aftercall.evals.case import EvalCase
from aftercall.evals.faults.injection import Injections
from aftercall.evals.faults.marked_calls import marked_calls
from aftercall.evals.faults.numbers import baggage
from aftercall.evals.faults.under import CaseTools, environment, under
from aftercall.evals.faults.uses import SeenUse, read_uses
from connectors.agents.agent import Agent

Key = tuple[str, int, int]
"""Case, repeat and attempt."""


class Broken(NamedTuple):
    """What is known of one question once its result is there."""

    seen: list[SeenUse]
    record: Mapping[str, Any]
    """The answer as a wire record; empty where there was none."""


class FaultyAgent:
    """An agent whose tools are under faults; without entries in `injections` they are only seen.

    Tools in this process and in commands are broken by `aftercall.evals.tool`; those behind a proxy by the proxy, whose
    log is read after each answer.
    """

    def __init__(self, agent: Agent, injections: Injections, log: Path | None = None) -> None:
        """Begin to read the log at its end.

        Args:
            agent: who is asked.
            injections: what is broken.
            log: of proxies that stand between the agent and its tools.
        """
        text = injections.text
        self.name: Final = f"{agent.name} --inject {text} --seed {injections.seed}" if text else agent.name
        self._agent, self._injections = agent, injections
        self._run = uuid4().hex
        self._log = None if log is None else _Log(log)
        self._tools: dict[Key, tuple[str, CaseTools]] = {}
        self._logged: dict[Key, list[SeenUse]] = {}
        self._records: dict[Key, Mapping[str, Any]] = {}

    def ask(self, case: EvalCase, timeout_s: float) -> Answer:
        """As `Agent.ask`; the tool calls of the answer are marked as they were broken, or those that were seen."""
        asked = ASKED.get() or Asked(case.id)
        with self._under(case, asked) as tools:
            answer = self._agent.ask(case, timeout_s)
        seen = [*tools.seen, *self._logged.get(asked.key, [])]
        if self._log is not None:
            seen += self._log.of(case.id)
            self._logged[asked.key] = [use for use in seen if use not in tools.seen]
        if seen:
            answer = replace(answer, tool_calls=tuple(marked_calls(answer.tool_calls or (), seen)))
        self._records[asked.key] = answer.record(case, 0)
        return answer

    def close(self) -> None:
        """As `Agent.close`."""
        self._agent.close()

    def broken(self, key: Key) -> Broken:
        """What was broken in a question whose result is there, also where no answer came; once.

        An agent that still runs is ended when it next calls a tool of this process.
        """
        case_id, tools = self._tools.pop(key, ("", None))
        if tools is not None:
            tools.has_ended = True
        logged = self._logged.pop(key, [])
        if self._log is not None and case_id:
            logged = [*logged, *self._log.of(case_id)]
        return Broken([*([] if tools is None else list(tools.seen)), *logged], self._records.pop(key, {}))

    def unclaimed(self) -> list[SeenUse]:
        """What the log has of no case of this run, once all results are there: tools that were not given the case."""
        return [] if self._log is None else self._log.rest()

    @contextmanager
    def _under(self, case: EvalCase, asked: Asked) -> Iterator[CaseTools]:
        with under(self._injections, case.id) as tools:
            self._tools[asked.key] = case.id, tools
            if not self._injections.entries:
                yield tools
                return
            headers = {"baggage": baggage(self._run, case.id), "X-Aftercall-Case": quote(case.id, safe="")}
            with tempfile.NamedTemporaryFile(prefix="aftercall-") as log:
                variables = environment(self._injections, case.id, log.name)
                token = ASKED.set(replace(asked, environment=variables, headers=headers))
                try:
                    yield tools
                finally:
                    ASKED.reset(token)
                    self._logged[asked.key] = read_uses(log.name)[0]


class _Log:
    """The log of proxies, read on from where it ended when the run began. Threads may share it."""

    def __init__(self, path: Path) -> None:
        path.open("a").close()
        self._path, self._at = path, path.stat().st_size
        self._uses: dict[str, list[SeenUse]] = {}
        self._lock = Lock()

    def of(self, case: str) -> Sequence[SeenUse]:
        """What is new about a case."""
        with self._lock:
            self._read_on()
            return self._uses.pop(case, [])

    def rest(self) -> list[SeenUse]:
        """What was asked for by no case."""
        with self._lock:
            self._read_on()
            return [use for uses in self._uses.values() for use in uses]

    def _read_on(self) -> None:
        uses, self._at = read_uses(self._path, self._at)
        for use in uses:
            self._uses.setdefault(use.case, []).append(use)
