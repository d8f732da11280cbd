"""Judges how old the data is that a call acted on: `stale_data`, `documents`, `policy_version`."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from aftercall.contracts.facts import DocumentUse, Facts
from aftercall.contracts.globs import Globs
from aftercall.contracts.params.base import span_us
from aftercall.contracts.params.policy import PolicyVersion
from aftercall.contracts.params.tool_path import Documents, StaleData
from aftercall.contracts.records.base import Judge, kept, on_tools, shown
from aftercall.contracts.results import Finding, fails, not_applicable, passes
from aftercall.times import parse_time


def stale_data(rule: StaleData) -> Judge:
    """At most `allow` tool results are stale: marked so, or with data older than `max_age` at the call."""
    chosen, max_age_us = Globs(rule.tools), span_us(rule.max_age)
    by_age = rule.max_age is not None

    @on_tools
    def judge(facts: Facts) -> Finding:
        stale, dated = [], False
        for tool, data_us in zip(facts.tools, facts.data_times, strict=True):
            if chosen.match(tool.name or ""):
                old = _is_old(facts, data_us, max_age_us) if by_age else None
                dated = dated or old is not None
                stale += [tool.name] if tool.stale or old else []
        if len(stale) > rule.allow:
            how = f"stale, or older than {rule.max_age}" if by_age else "marked stale"
            return fails(
                f"{len(stale)} tool results, more than {rule.allow}, {how}; the last is of {shown(stale[-1])}",
                len(stale),
                rule.allow,
            )
        if by_age and not dated and facts.tools:
            return not_applicable("no tool call has data_at, or the call no time")
        return passes(f"at most {rule.allow} tool results were {'too old' if by_age else 'marked stale'}", len(stale))

    return judge


def documents(rule: Documents) -> Judge:
    """Documents are of the `latest` version, at most `max_age` old, and none is `denied`."""
    versions = [(Globs([glob]), version) for glob, version in rule.latest.items()]
    denied, max_age_us = Globs(rule.denied), span_us(rule.max_age)

    def problems(facts: Facts, document: DocumentUse) -> Iterator[Finding | None]:
        """What each part of the rule finds about a document; None where it finds nothing wrong."""
        name = shown(document.id)
        if rule.denied:
            yield fails(f"document {name} is denied", kept(document.id)) if denied.match(document.id) else None
        wanted = next((version for globs, version in versions if globs.match(document.id)), None)
        if wanted is not None and document.version is not None:
            words = f"document {name} is of version {shown(document.version)}, not {shown(wanted)}"
            yield None if document.version == wanted else fails(words, kept(document.version), wanted)
        if rule.max_age is not None and (old := _is_old(facts, document.at_us, max_age_us)) is not None:
            yield fails(f"document {name} is older than {rule.max_age}", None, rule.max_age) if old else None

    @on_tools
    def judge(facts: Facts) -> Finding:
        found = [problem for document in facts.documents for problem in problems(facts, document)]
        if not found:
            return not_applicable("no tool call has documents with what the rule compares")
        wrong = next((problem for problem in found if problem is not None), None)
        return wrong or passes("no document is denied, old, or of another version, as far as documents say it")

    return judge


def policy_version(rule: PolicyVersion) -> Judge:
    """The version was in effect at the call, or within `grace` before it."""
    begins = sorted((parse_time(since), version) for version, since in rule.latest.items())
    starts, versions = [begin for begin, _ in begins], [version for _, version in begins]
    grace_us = span_us(rule.grace)

    def judge(facts: Facts) -> Finding:
        version = facts.text("policy_version")
        if version is None or facts.at_us is None:
            return not_applicable(f"the call has no {'policy_version' if version is None else 'time'}")
        current = bisect_right(starts, facts.at_us) - 1
        if current < 0:
            return not_applicable("no version was in effect at the call")
        if version == versions[current]:
            return passes("the version in effect", kept(version), version)
        before = max(bisect_left(starts, facts.at_us - grace_us) - 1, 0)
        if version in versions[before:current]:
            return passes(f"a version replaced at most {rule.grace} before", kept(version), versions[current])
        state = "is not the one in effect" if version in versions[:current] else "is not in effect"
        state = state if version in rule.latest else "is unknown to the rule"
        return fails(
            f"version {shown(version)} {state}, {shown(versions[current])} is", version[:256], versions[current]
        )

    return judge


def _is_old(facts: Facts, data_us: int | None, max_age_us: int) -> bool | None:
    """Whether data is older than allowed at the call; None where one of the times is not known."""
    return None if data_us is None or facts.at_us is None else facts.at_us - data_us > max_age_us
