"""Prints where a run is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from aftercall.printable import printable
from flows.reports.summary import COUNTS, VERDICTS, sum_of
from flows.reports.words import counted, moment, percent

_LISTED: Final = 12


def print_status(found: dict[str, Any], console: Console) -> None:
    """Print the result of `read_status`."""
    lines = [
        f"Snapshot {found['version']}, written {_moment(found['written_at'])}: {found['snapshot']}",
        f"Read up to {_moment(found['watermark'])} (the watermark: no earlier record is expected)",
        *_places(found["positions"]),
        f"{counted(found['open_alerts'], 'alert')} open" if found["open_alerts"] else "No alert is open",
        "",
        *_complete(found["complete"]),
        "",
        f"{found['counts']['records']:,} records {_balance(found['counts']['records'], COUNTS[1:], found['counts'])}",
        _verdicts(found["counts"]),
        "",
        *_refused(found["dead_letters"], found["counts"]["records"]),
        *(f"Warning: {warned['detail']} ({warned['count']:,})" for warned in found["warnings"][:_LISTED]),
    ]
    if len(found["warnings"]) > _LISTED:
        lines.append(f"and {len(found['warnings']) - _LISTED:,} more warnings (--json has them all)")
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=True)


def _places(positions: dict[str, Any]) -> list[str]:
    places = [f"  {place}: {at:,}" if isinstance(at, int) else f"  {place}: {at}" for place, at in positions.items()]
    return places[:_LISTED] + ([f"  and {len(places) - _LISTED:,} more (--json)"] if len(places) > _LISTED else [])


def _complete(spans: Sequence[dict[str, Any]]) -> list[str]:
    """How complete the verdicts of the calls of each span are."""
    if not spans:
        return ["No call in the last 7 days."]
    return ["Calls that have a verdict:", *map(_of_span, spans)]


def _of_span(span: dict[str, Any]) -> str:
    line = f"  last {span['span']}: {percent(span['resolved'] / span['calls'])} of {span['calls']:,}"
    if not span["pending"]:
        return f"{line}; no other will get one"
    in_the_end = "" if span["maturity"] is None else f", about {percent(span['maturity'])} of those that ever will"
    return f"{line}{in_the_end}; {span['pending']:,} still may"


def _verdicts(counts: dict[str, Any]) -> str:
    attempts = counts.get("attempts") or 0
    with_attempts = f"{counts['calls']:,} calls{f' + {attempts:,} attempts' if attempts else ''}"
    return f"{with_attempts} {_balance(counts['calls'] + attempts, VERDICTS, counts)}"


def _balance(whole: int, names: Sequence[str], counts: dict[str, Any]) -> str:
    terms = {name: counts.get(name) or 0 for name in names}
    return f"{'=' if whole == sum(terms.values()) else '!='} {sum_of(names, terms)}"


def _refused(reasons: Sequence[dict[str, Any]], records: int) -> list[str]:
    if not reasons:
        return ["Nothing was refused."]
    number = sum(one["count"] for one in reasons)
    listed = [f"  {one['reason']}: {one['count']:,}" for one in reasons]
    share = f", {percent(number / records)} of the records" if records else ""
    return [f"Refused: {number:,}{share} (aftercall dead-letters list shows them)", *listed]


def _moment(at: Any) -> str:
    return "a time that is not known" if at is None else moment(at)
