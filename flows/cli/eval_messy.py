"""Writes messy variants of polite cases: `aftercall eval messy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aftercall.errors import UsageError
from flows.cli.answers import console, print_json
from flows.cli.eval_options import Seed
from flows.cli.options import Json


def messy(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Cases: .jsonl, .csv, .tsv or .parquet.")],
    *,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Gets all cases and their variants, as .jsonl; a new file.")
    ],
    rules: Annotated[
        str | None, typer.Option("--rules", metavar="NAMES", help="Only these, with commas, such as typos,anger.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep", metavar="NAMES", help="Rules under which you know that the answer stays: it is kept there."
        ),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Write variants of the cases by rules, without a model: typos, anger, a field missing, and six more.

    Each is tagged and stands beside its original. The expected answer is kept only where the change cannot alter it;
    elsewhere it is left out for a person to write, and the variant is tagged needs_expected.
    """
    from aftercall.evals.messy.rules import MESSY
    from connectors.suites.reading import read_dataset
    from flows.evaluation.messy import print_messy, write_messy

    chosen, vouched = _names(rules, "--rules", tuple(MESSY)), _names(keep, "--keep", tuple(MESSY))
    report = write_messy(read_dataset(dataset), out, chosen or tuple(MESSY), seed, vouched)
    if as_json:
        print_json(report)
    else:
        print_messy(report, console())


def _names(given: str | None, option: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return ()
    names = tuple(dict.fromkeys(part.strip() for part in given.split(",")))
    for name in names:
        if name not in known:
            raise UsageError(f"{option}: must name rules; got {name[:60]!r} (choose of {', '.join(known)})")
    return names
