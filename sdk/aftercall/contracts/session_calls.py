"""Keeps of a call what the rules over its session read, and says when it is judged by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.facts import MAX_TOOL_CALLS, number_of
from aftercall.contracts.results import RuleResult
from aftercall.contracts.sessions import SessionJudge
from aftercall.times import MINUTE_US
from aftercall.vocabulary import FILLED_ONCE

_LABEL: Final = "attrs."
_LABELS: Final = ("input_hash", "escalated")
"""Those that the kinds of rules read; `when` may read others."""
_ALWAYS: Final = ("session_id", "occurred_at")
_TOKENS: Final = ("tokens", "tokens_in", "tokens_out")
_SOME_ERROR: Final = "-"
"""In place of an error's text: rules read only whether there is one."""


def rules_over_sessions(contract: Contract) -> tuple[Rule, ...]:
    """Those rules of a contract, in its order."""
    return tuple(rule for rule in contract.rules if rule.room == "session")


class Excerpts:
    """Takes out of calls what some rules over sessions read: plain values, without any text but names and labels."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """`rules`: over sessions, of all contracts."""
        every = list(rules)
        self._fields = sorted({*_ALWAYS, *(field for rule in every for field in rule.reads)} - {"attrs"})
        conditions = {name for rule in every for name in rule.params.when if name.startswith(_LABEL)}
        self._labels = sorted({*_LABELS, *(name.removeprefix(_LABEL) for name in conditions)})

    def of(self, call: Any) -> dict[str, Any]:
        """What the rules read of a call, a mapping or an object as for `Facts`; they find the same in it."""
        get = _reader(call)
        kept = {field: _value(value) for field in self._fields if (value := get(field)) is not None}
        if isinstance(kept.get("error"), str):
            kept["error"] = _SOME_ERROR if kept["error"] else ""
        if isinstance(kept.get("tool_calls"), list | tuple):
            kept["tool_calls"] = _tools(kept["tool_calls"])
        attrs = get("attrs")
        if isinstance(attrs, Mapping) and attrs:
            labels = ((name, _value(attrs.get(name))) for name in self._labels)
            kept["attrs"] = {name: value for name, value in labels if isinstance(value, str | bool | float)}
        return kept


def fill(first: dict[str, Any], later: Mapping[str, Any]) -> None:
    """Fill in what a later record of a call has and the first one lacks; a list of tool calls replaces a number.

    >>> call = {"tokens_in": 5, "cost_usd": None}
    >>> fill(call, {"tokens_out": 3, "cost_usd": 0.5})  # all tokens of a call are of one record
    >>> call
    {'tokens_in': 5, 'cost_usd': 0.5}
    """
    for field in FILLED_ONCE:
        names = _TOKENS if field == "tokens" else (field,)
        if all(first.get(name) in (None, {}) or _is_number_of_tools(name, first[name]) for name in names):
            given = {name: later[name] for name in names if later.get(name) not in (None, {})}
            first |= {} if given == {"tool_calls": []} else given


def _is_number_of_tools(name: str, value: object) -> bool:
    return name == "tool_calls" and isinstance(value, int | float)


def are_of_one(first: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two records are of one call, by what must be equal in them, and last by their errors, 0 for none.

    An error that only one of them has is what it adds.

    >>> are_of_one(("m", 0), ("m", "timeout")), are_of_one(("m", "refused"), ("m", "timeout"))
    (True, False)
    """
    *names, error = first
    *others, another = other
    return names == others and (error == another or 0 in {error, another})


class SessionTimes(NamedTuple):
    """When calls are judged by the rules over their sessions; durations in microseconds.

    Attributes:
        wait_us: so long after the end of a call's minute others of its session may come before it is judged.
        forget_us: a session that has had no call for so long begins from nothing.
    """

    wait_us: int
    forget_us: int

    def due_us(self, at_us: int, closes_us: int) -> int:
        """The instant that the watermark must have passed; no later than the call closes.

        >>> SessionTimes(5 * 60_000_000, 0).due_us(90_000_000, 10**15)
        419999999
        """
        minute_ends = (at_us // MINUTE_US + 1) * MINUTE_US - 1
        return min(minute_ends + self.wait_us, closes_us)


class SessionCourse:
    """What rules over sessions remember of one session, under all versions of contracts.

    Attributes:
        values: of plain values, to be kept over a restart; empty before the first call. The rules change it.
    """

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        self.values: dict[str, Any] = {} if values is None else values

    @property
    def last_us(self) -> int | None:
        """The time of its newest call that was judged; None before the first."""
        last: int | None = self.values.get("last")
        return last

    def judge(
        self, judges: Iterable[SessionJudge], call: Mapping[str, Any], at_us: int, now_us: int, times: SessionTimes
    ) -> list[tuple[SessionJudge, list[RuleResult]]]:
        """What the next call of the session gives under the versions that judge it.

        Args:
            judges: of these versions.
            call: as `Excerpts` gives it.
            at_us: when it occurred.
            now_us: when it is due, or has come if that is later.
            times: of all sessions.
        """
        last = self.last_us
        if last is not None and last + times.forget_us < now_us:
            self.values.clear()
            last = None
        self.values["last"] = at_us if last is None else max(last, at_us)
        states = self.values.setdefault("states", {})
        return [(judge, judge.judge(states.setdefault(judge.label, {}), call)) for judge in judges]

    def forget_requests(self) -> None:
        """Forget what calls were given: one of them was erased."""
        for state in self.values.get("states", {}).values():
            for of_rule in state.values():
                of_rule.pop("seen", None)


def _tools(given: list[Any] | tuple[Any, ...]) -> list[dict[str, Any]]:
    """Names, and whether they failed; of too many, only how many there are."""
    if len(given) > MAX_TOOL_CALLS:
        return [{}] * len(given)
    return [_tool(tool) for tool in given]


def _tool(given: Any) -> dict[str, Any]:
    get = _reader(given)
    name, ok, error = get("name"), get("ok"), get("error")
    kept: dict[str, Any] = {"name": name} if isinstance(name, str) and name else {}
    if isinstance(ok, bool):
        kept["ok"] = ok
    elif isinstance(error, str) and error:
        kept["ok"] = False
    return kept


def _reader(given: Any) -> Callable[[str], Any]:
    """How a field is read: by key, or as an attribute."""
    return given.get if isinstance(given, Mapping) else lambda field: getattr(given, field, None)


def _value(given: object) -> Any:
    """As rules read it: numbers as they compare them."""
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return number_of(given) if is_number else given
