"""Checks, imports and lints contracts: `aftercall contract`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftercall.errors import ExitCode, UsageError
from aftercall.printable import printable
from flows.cli.answers import console, exits, print_json, print_sentence
from flows.cli.contract_export import export
from flows.cli.options import Config, Json

if TYPE_CHECKING:
    from aftercall.contracts.contract import Contract

contract = typer.Typer(
    name="contract",
    help="Check contracts, and import them.",
    short_help="Check contracts, and import them.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Contracts = Annotated[list[str], typer.Argument(metavar="CONTRACT...", help="Contract files, or folders of them.")]


@contract.callback()
def _contract() -> None:
    """Check contracts, and import them."""


@contract.command(
    short_help="Find what is wrong or idle in contract files.", epilog=exits(no="a rule can never apply, or only err")
)
def lint(files: Contracts, *, as_json: Json = False) -> None:
    """Read contract files together, and list rules that can never apply, or never have a result but an error.

    What is wrong ends with exit code 2.
    """
    from aftercall.contracts.files import read_contracts
    from aftercall.contracts.lint import lint as remarks_on

    contracts = read_contracts(list(map(_path, files)))
    if not len(contracts):
        raise UsageError(f"FILE: must be contract files, or folders of them; {files[0]} has none (name a file)")
    remarks = [remark for one in contracts for remark in remarks_on(one)]
    for remark in remarks:
        print_sentence(remark.sentence)
    if as_json:
        print_json({"contracts": [*map(_listed, contracts)], "remarks": [remark.to_dict() for remark in remarks]})
    else:
        sys.stdout.writelines(map(_line, contracts))
    if any(remark.idle for remark in remarks):
        raise typer.Exit(ExitCode.NO)


@contract.command(
    "import",
    short_help="Turn a pact of Armalo into a contract.",
    epilog=exits(no="a condition could not be carried over; the contract has the others"),
)
def import_(
    pact: Annotated[str, typer.Argument(metavar="PACT", help="The pact, as JSON.")],
) -> None:
    """Print the contract of a pact's conditions as TOML, and report what could not be carried over."""
    from aftercall.contracts.armalo import import_pact
    from aftercall.contracts.toml_text import contract_toml

    try:
        given = json.loads(_path(pact).read_bytes())
    except (ValueError, RecursionError) as wrong:
        raise UsageError(f"{pact}: must be JSON: {printable(str(wrong))} (export the pact again)") from None
    imported = import_pact(given, str(pact))
    for sentence in (*imported.lost, *imported.to_do):
        print_sentence(f"{pact}, {sentence}")
    if imported.content["rule"]:
        sys.stdout.write(contract_toml(imported.content, imported.comments))
    if imported.lost:
        raise typer.Exit(ExitCode.NO)


@contract.command(
    short_help="Judge past calls by contracts.", epilog=exits(undecided="no call of the files is judged by a contract")
)
def check(
    files: Contracts,
    *,
    calls: Annotated[list[Path], typer.Option(metavar="FILE...", help="Past calls: .jsonl, .jsonl.gz or .jsonl.zst.")],
    outcomes: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE...", help="Their outcomes: what rules are worth, and success rates with contracts."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Judge past calls by contracts, and show what would have been flagged before they are put to work.

    With outcomes it also shows whether that mattered.
    """
    from aftercall.contracts.files import read_contracts
    from flows.contract_check.report import check as check_calls
    from flows.contract_check.view import print_check
    from flows.settings import load

    settings = load(config)
    report = check_calls(read_contracts(list(map(_path, files))), calls, outcomes or [], settings)
    for warning in report["warnings"]:
        print_sentence(warning)
    if as_json:
        print_json(report)
    else:
        print_check(report, console())
    if not report["judged"]:
        raise typer.Exit(ExitCode.UNDECIDED)


def _line(one: Contract) -> str:
    rules = f"{len(one.rules)} rule{'s' * (len(one.rules) > 1)}"
    return printable(f"{one.place}: {one.label}, {rules}, hash {one.hash}") + "\n"


def _listed(one: Contract) -> dict[str, Any]:
    return {
        "contract": one.name,
        "version": one.version,
        "hash": one.hash,
        "file": one.place,
        "rules": [rule.id for rule in one.rules],
    }


def _path(given: str) -> Path:
    """The path of an argument; an empty one, of a variable that is not set, would be the current folder."""
    if not given:
        raise UsageError("FILE: must be a path; got an empty one ('.' is this folder)")
    return Path(given)


contract.command(short_help="Write into the files of contracts from when they judge.", epilog=exits())(export)
