"""Defines what the rules on texts take; `aftercall.contracts.texts` judges them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field

from aftercall.contracts.params.base import Room, RuleParams, Whole

Detector = Literal["email", "card", "iban", "us_ssn", "api_key", "private_key", "jwt"]
DETECTORS: Final[tuple[Detector, ...]] = get_args(Detector)
SAMPLED: Final = (
    "method: 'moderation' and 'judge' come with the judges and run sampled, never in the dataflow; got {method!r}"
    ' (until then take "phrases", with topics or patterns of your own)'
)
Phrase = Annotated[str, Field(min_length=1, max_length=1000)]
Phrases = Annotated[list[Phrase], Field(max_length=10_000)]
Topics = Annotated[dict[Annotated[str, Field(min_length=1, max_length=64)], Phrases], Field(max_length=1000)]
Patterns = Annotated[list[Phrase], Field(max_length=1000)]
"""Regular expressions of RE2."""


class OnText(RuleParams):
    """A rule of which only the result leaves the place where the text is."""

    @property
    def room(self) -> Room:
        """The text is needed."""
        return "text"

    @property
    def needs(self) -> frozenset[str]:
        """The output, unless `where` says the input; of both, the output: what was sent before it is gone by then."""
        return self.reads & {"output"} or self.reads

    @property
    def reads(self) -> frozenset[str]:
        """The output, unless `where` says the input, or both."""
        where = getattr(self, "where", "output")
        return frozenset({"input", "output"} if where == "both" else {where})


class Format(OnText):
    """The output is JSON, fits a schema, has parts of Markdown, matches a pattern, or is not empty.

    Without `as` it must not be empty, and be JSON where it begins like JSON.
    """

    type: Literal["format"]
    as_: Annotated[Literal["json", "json_schema", "markdown", "regex", "non_empty"] | None, Field(alias="as")] = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    schema_file: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    pattern: Phrase | None = None
    require: Annotated[list[Literal["headings", "list", "table", "code"]], Field(max_length=4)] = Field(
        default_factory=list
    )

    @property
    def of_whole_output(self) -> bool:
        """A part of a document has another form."""
        return True

    def refuse(self) -> str | None:
        """A form without what describes it, or a description without its form."""
        if self.as_ == "json_schema" and self.schema_ is None:
            return 'schema, schema_file: one of them is required with as = "json_schema" (give the schema)'
        if self.as_ == "regex" and self.pattern is None:
            return 'pattern: is required with as = "regex" (give the pattern)'
        wanted = {"schema": ("json_schema", self.schema_), "pattern": ("regex", self.pattern)}
        for key, (form, value) in {**wanted, "require": ("markdown", self.require or None)}.items():
            if value is not None and self.as_ != form:
                return f'{key}: has no meaning unless as = "{form}" (set it, or remove {key})'
        return None


class ProhibitedTopics(OnText):
    """None of the phrases and patterns occurs."""

    type: Literal["prohibited_topics"]
    topics: Topics = Field(default_factory=dict)
    patterns: Patterns = Field(default_factory=list)
    where: Literal["output", "input"] = "output"


class RequiredTopics(OnText):
    """All topics occur, or any, or `at_least` so many; each pattern is a topic of its own."""

    type: Literal["required_topics"]
    topics: Topics = Field(default_factory=dict)
    patterns: Patterns = Field(default_factory=list)
    where: Literal["output", "input"] = "output"
    require: Literal["all", "any"] = "all"
    at_least: Whole | None = None

    @property
    def of_whole_output(self) -> bool:
        """What is missing might have been said in the rest."""
        return self.where == "output"

    def refuse(self) -> str | None:
        """More topics than there are."""
        known = len(self.topics) + len(self.patterns)
        if self.at_least is not None and not 1 <= self.at_least <= max(known, 1):
            return f"at_least: must be 1 to {known}, the number of topics and patterns; got {self.at_least}"
        return None


class Safety(OnText):
    """None of your phrases and patterns occurs; other methods come with the judges."""

    type: Literal["safety"]
    method: Literal["phrases", "moderation", "judge"] = "phrases"
    topics: Topics = Field(default_factory=dict)
    patterns: Patterns = Field(default_factory=list)

    def refuse(self) -> str | None:
        """A method that does not exist here."""
        return None if self.method == "phrases" else SAMPLED.format(method=self.method)


class RestrictedData(OnText):
    """None of the kinds of `detect` and none of `patterns` occurs, but for what is in `allow`."""

    type: Literal["restricted_data"]
    detect: Annotated[list[Detector], Field(max_length=len(DETECTORS))] = Field(default_factory=lambda: [*DETECTORS])
    patterns: Patterns = Field(default_factory=list)
    allow: Phrases = Field(default_factory=list)
    where: Literal["output", "input", "both"] = "both"
