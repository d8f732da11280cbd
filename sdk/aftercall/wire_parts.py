"""Defines what objects of the wire share, and the object in which producers send what contracts made of a call.

They are parts of `aftercall.events`, whose docstring has the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aftercall.checks import takes_text

MAX_TEXT: Final = 256
MAX_LONG_TEXT: Final = 8192
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Required = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
"""Text that an event cannot do without. As empty text is absent, the least length is for readers of the schema."""
LongText = Annotated[str, Field(max_length=MAX_LONG_TEXT)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class WirePart(BaseModel):
    """An object of the wire: frozen and strict; it ignores unknown fields."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")
    TEXT_FIELDS: ClassVar[frozenset[str]] = frozenset()
    """The fields in which empty text means absent, as exporters write it for what they do not have."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Find out which fields are text."""
        cls.TEXT_FIELDS = frozenset(name for name, field in cls.model_fields.items() if takes_text(field.annotation))

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {
            name: value
            for name, value in given.items()
            if value is not None and not (value == "" and name in cls.TEXT_FIELDS)
        }


class Check(WirePart):
    """What a rule of a contract made of a call at its producer, where the texts do not leave its process.

    `hash` is that of the version of the contract: results of a version that the pipeline does not have count as
    `not_applicable`.
    """

    contract: Required
    version: Required
    hash: Required
    rule: Required
    result: Literal["pass", "fail", "not_applicable", "error"]
    actual: Finite | Text | None = None
    threshold: Finite | Text | None = None
    details: LongText | None = None
