"""Generates the JSON Schema of contract files, for editors and for checks in CI."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, create_model

from aftercall.contracts.contract import MAX_RULES
from aftercall.contracts.kinds import KINDS
from aftercall.contracts.syntax import ContractHead

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def contract_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a contract file, whichever of its formats it is written in.

    It knows keys and types. What hangs on several of them, such as versions that overlap, `aftercall contract lint`
    finds.
    """
    kinds = reduce(or_, (kind.params for kind in KINDS.values()))
    rules = Annotated[
        list[Annotated[kinds, Field(discriminator="type")]],  # type: ignore[valid-type]  # made from the table of kinds
        Field(min_length=1, max_length=MAX_RULES),
    ]
    file = create_model("ContractFile", __base__=ContractHead, rule=(rules, ...))
    return {"$schema": _DIALECT, **file.model_json_schema(mode="validation"), "description": _DESCRIPTION}


_DESCRIPTION = "One version of a contract: rules that an agent's calls keep or break, and the calls that it is for."
