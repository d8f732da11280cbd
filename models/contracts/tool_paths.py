"""Judges records with the engine of the sdk; those that are alike in all that the rules read, once.

Distinct tool calls are few, and so are the paths that agents take through them. So tool calls are coded, a path is a
number of the codes of its tools, and only a path that was not seen before is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.contracts.contract import Rule
from aftercall.contracts.engine import judge_rule
from aftercall.contracts.facts import MAX_TOOL_CALLS, Facts
from aftercall.contracts.results import RuleResult
from aftercall.vocabulary import CODED_OF_TOOLS, FILLED_ONCE, LISTS_NO_TOOLS
from models.arrays import I8, I32, I64, U32, Bools, Objects
from models.contracts.columns import at_rows
from models.contracts.result_codes import CODES, PASS
from models.side_messages import CallsToJudge, ToolPaths

AsMapping = Callable[[Any], Mapping[str, Any]]
"""Gives a decoded record as a mapping with the fields of the wire."""
Results = tuple[RuleResult, ...]
_MOST_KNOWN: Final = 16_384
"""Kinds of records whose results are remembered; then they are forgotten together."""
_LABEL: Final = "attrs."
_CANCELLED: Final = "cancelled"
"""With it the output of a call is not whole."""
_LABELS: Final = ("end_state", "approved", "escalated")
"""Those that kinds of rules read; `when` may read others."""
_BITS: Final = 12
_IN_ONE: Final = 63 // _BITS
"""So many codes of tool calls fit in a number."""
_MOST_CODES: Final = (1 << _BITS) - 1
_WHOLE: Final = (*CODED_OF_TOOLS, "partial", "empty", "items", "data_at", "documents")
_READ_BRIEFLY: Final = frozenset(
    {"allowed_tools", "denied_tools", "required_tools", "retry_limit", "tool_failure_handled", "approval", "escalation"}
)
"""Kinds of rules that read no more of a tool call than `CODED_OF_TOOLS`; others read the rest too."""
_FEW: Final = 64
_NO_PATHS: Final = np.zeros(0, np.int64)
_ATTRS_BIT: Final = np.uint32(1 << FILLED_ONCE.index("attrs"))
_SAYS_OF_TOOLS: Final = np.uint32(1 << FILLED_ONCE.index("tool_calls") | LISTS_NO_TOOLS)
"""Records with neither bit have no `tool_calls`."""
_NO_TOOLS: Final = -1
"""Beside the lane's numbers: of those."""
_tools = attrgetter("tool_calls")


class Records(NamedTuple):
    """Records to judge.

    Attributes:
        all: the records, shape (n,).
        filled: which fields they have, as bits of `FILLED_ONCE`.
        token: of the lane's numbers, see `models.side_messages.ToolPaths`.
        path: these numbers; empty where there are none.
    """

    all: Objects
    filled: U32
    token: int
    path: I64

    @classmethod
    def of(cls, calls: CallsToJudge, rows: I64 | None, paths: ToolPaths | None) -> Records:
        """Those of the calls at `rows`; None: all."""
        token, path = paths or (0, _NO_PATHS)
        path = at_rows(path, rows) if len(path) else path
        return cls(at_rows(calls.records, rows), at_rows(calls.filled, rows), token, path)

    @property
    def labelled(self) -> bool:
        """Whether any has `attrs`."""
        return bool((self.filled & _ATTRS_BIT).any())


class _Codes(dict[Any, int]):
    """Gives tool calls the codes 1, 2, ..., in the order of their first use."""

    def __missing__(self, key: Any) -> int:
        code = self[key] = len(self) + 1
        return code


class RecordRules:
    """Some rules of one contract, and what they found in records of the last kinds."""

    def __init__(self, rules: tuple[Rule, ...], plain: AsMapping) -> None:
        """`rules`: of any room but "session" and "text"."""
        self._rules, self._plain = rules, plain
        fields = {field for rule in rules for field in rule.reads}
        conditions = {name for rule in rules for name in rule.params.when if name.startswith(_LABEL)}
        labels = {*_LABELS, _CANCELLED, *(name.removeprefix(_LABEL) for name in conditions)}
        reads_labels = "attrs" in fields or any(rule.params.of_whole_output for rule in rules)
        self._labels = sorted(labels) if reads_labels else []
        self._fields = [attrgetter(field) for field in sorted(fields - {"attrs", "tool_calls", "error"})]
        self._reads_tools, self._reads_error = "tool_calls" in fields, "error" in fields
        brief = all(map(_reads_briefly, rules))
        self._tool = attrgetter(*(CODED_OF_TOOLS if brief else _WHOLE))
        self._has_documents = not brief
        self._codes = _Codes()
        self._numbered = self._reads_tools and not self._has_documents
        """Whether the lane's numbers say all that is read of tool calls."""
        self._known: dict[int, dict[Any, int]] = {}
        """Kinds by what results rest on, by the token of the lane's numbers."""
        self.found: list[Results] = []
        """Results by kind of record; each has one for each rule."""
        self._table: I8 = np.zeros((_FEW, len(rules)), np.int8)
        """Their codes, with room for more."""
        self._others: Bools = np.zeros(_FEW, np.bool_)
        """Likewise, of which kinds records do not pass all rules."""

    @property
    def codes(self) -> I8:
        """`found` as codes of results, shape (kinds, rules)."""
        return self._table[: len(self.found)]

    @property
    def others(self) -> Bools:
        """By kind, whether its records do not pass all rules."""
        return self._others[: len(self.found)]

    def kinds(self, records: Records) -> I32:
        """The kind of each record, an index of `found`.

        Some .1 us where the lane has numbered its tool calls, or it has none; else 2 us for four of them; 20 where none
        is like it.
        """
        if len(self.found) >= _MOST_KNOWN or len(self._codes) >= _MOST_CODES // 2:
            self._codes, self._known, self.found = _Codes(), {}, []
        token = records.token if self._numbered else 0
        keys, known = self._keys(records), self._known.setdefault(token, {})
        kinds = np.fromiter(map(known.get, keys, repeat(-1)), np.int32, len(keys))
        for at in np.flatnonzero(kinds < 0).tolist():
            kind = known.get(keys[at])
            kinds[at] = self._judged(known, keys[at], records.all[at]) if kind is None else kind
        return kinds

    def _judged(self, known: dict[Any, int], key: Any, record: Any) -> int:
        """A new kind."""
        kind = known[key] = len(self.found)
        facts = Facts(self._plain(record))
        results = tuple(judge_rule(rule, facts) for rule in self._rules)
        self.found.append(results)
        if kind >= len(self._table):
            self._table = np.concatenate((self._table, np.zeros_like(self._table)))
            self._others = np.concatenate((self._others, np.zeros_like(self._others)))
        codes = [CODES[result.result] for result in results]
        self._table[kind], self._others[kind] = codes, any(code != PASS for code in codes)
        return kind

    def _keys(self, records: Records) -> list[Any]:
        """What the results of each record rest on."""
        paths = self._all_paths(records) if self._reads_tools else [0] * len(records.all)
        if not self._fields and not self._reads_error and not (self._labels and records.labelled):
            return paths
        rests = map(self._rest, records.all.tolist())
        return [(path, rest, None) if rest else path for path, rest in zip(paths, rests, strict=True)]

    def _all_paths(self, records: Records) -> list[Any]:
        """As `_paths`; where the lane has given numbers these, and the others in a tuple."""
        if not self._numbered or not len(records.path):
            return self._paths(records.all.tolist())
        unnumbered = records.path == 0
        absent = unnumbered & (records.filled & _SAYS_OF_TOOLS == 0)
        paths: list[Any] = np.where(absent, _NO_TOOLS, records.path).tolist()
        others = np.flatnonzero(unnumbered & ~absent)
        if len(others):
            for at, path in zip(others.tolist(), self._paths(records.all[others].tolist()), strict=True):
                paths[at] = (path,)
        return paths

    def _paths(self, records: list[Any]) -> list[Any]:
        """What the rules read of the tool calls of each record: a number where it fits in one, else a tuple."""
        given = lists = list(map(_tools, records))
        if set(map(type, given)) != {list}:
            lists = [some if type(some) is list else () for some in given]
        count = np.fromiter(map(len, lists), np.int64, len(lists))
        if count.max(initial=0) > MAX_TOOL_CALLS:
            lists = [some if len(some) <= MAX_TOOL_CALLS else () for some in lists]
            count = np.fromiter(map(len, lists), np.int64, len(lists))
        codes = self._coded(chain.from_iterable(lists), int(count.sum()))
        paths: list[Any] = _packed(codes, count).tolist()
        long = len(self._codes) > _MOST_CODES
        for at in np.flatnonzero((count > _IN_ONE) | long).tolist():
            paths[at] = tuple(map(self._key, lists[at]))
        for at in np.flatnonzero(count == 0).tolist():
            some = given[at]
            paths[at] = ("many",) if type(some) is list and some else (some if type(some) is not list else "none",)
        return paths

    def _coded(self, tools: Iterable[Any], count: int) -> I64:
        keys = map(self._key if self._has_documents else self._tool, tools)
        return np.fromiter(map(self._codes.__getitem__, keys), np.int64, count)

    def _key(self, tool: Any) -> Any:
        key = self._tool(tool)
        if self._has_documents and key[-1] is not None:
            return (*key[:-1], tuple(key[-1]))
        return key

    def _rest(self, record: Any) -> tuple[Any, ...]:
        """All else that the results rest on. Types too: 1 and true are equal here, and not for the rules."""
        values = [read(record) for read in self._fields]
        if self._reads_error:
            values.append(record.error is not None)
        attrs = record.attrs
        if self._labels and attrs:
            values += [(name, attrs[name], type(attrs[name])) for name in self._labels if name in attrs]
        return tuple(values)


def _reads_briefly(rule: Rule) -> bool:
    """Whether it reads no more of a tool call than `CODED_OF_TOOLS`."""
    if "tool_calls" not in rule.reads or rule.type in _READ_BRIEFLY:
        return True
    return rule.type == "stale_data" and getattr(rule.params, "max_age", None) is None


def _packed(codes: I64, count: I64) -> I64:
    """The codes of each record as one number, of those with at most `_IN_ONE`; 0 without any."""
    last = np.cumsum(count)
    packed = np.zeros(len(count), np.int64)
    first = last - count
    for place in range(min(_IN_ONE, int(count.max(initial=0)))):
        (rows,) = ((count > place) & (count <= _IN_ONE)).nonzero()
        packed[rows] = packed[rows] << _BITS | codes[first[rows] + place]
    return packed
