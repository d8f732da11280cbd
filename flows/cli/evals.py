"""Groups the commands of the evaluation suite: `aftercall eval`."""

from __future__ import annotations

import typer

from flows.cli.answers import exits
from flows.cli.eval_aa import aa
from flows.cli.eval_compare import compare
from flows.cli.eval_faults import faults
from flows.cli.eval_formats import export, import_, import_results
from flows.cli.eval_messy import messy
from flows.cli.eval_proxy import proxy
from flows.cli.eval_run import run
from flows.cli.eval_weigh import weigh

evals = typer.Typer(
    name="eval",
    help="Run suites of cases against an agent.",
    short_help="Run suites of cases against an agent.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@evals.callback()
def _evals() -> None:
    """Run suites of cases against an agent."""


evals.command(
    short_help="Ask an agent all cases of a data set, and score its answers.",
    epilog=exits(
        no="the pass rate is below --min-pass-rate, or more rows have regressed than may",
        undecided="errors left fewer than half of the answers, or --baseline has no recorded run",
    ),
)(run)
evals.command(short_help="Break the tools of an agent on purpose, from outside.", epilog=exits())(proxy)
evals.command(short_help="Write messy variants of polite cases.", epilog=exits())(messy)
evals.command(
    short_help="List which failures an agent has been seen to survive.",
    epilog=exits(no="an agent did not survive one", undecided="no run was judged by the contract"),
)(faults)
evals.command(
    short_help="Say how often the gate of a suite blocks when nothing has changed.",
    epilog=exits(undecided="errors left fewer than half of the answers"),
)(aa)
evals.command(
    short_help="Compare variants of an agent on one suite, row by row.",
    epilog=exits(undecided="errors left fewer than half of the answers of a variant"),
)(compare)
evals.command(
    short_help="Compare a suite with production, under production's weights.",
    epilog=exits(undecided="too few cases or verdicts to compare"),
)(weigh)
evals.command(
    "import",
    short_help="Print the cases of another program as a data set.",
    epilog=exits(no="a check or a test could not be carried over; the others are printed"),
)(import_)
evals.command(
    short_help="Print a data set in the format of another program.",
    epilog=exits(no="a check could not be carried over as it is; the others are printed"),
)(export)
evals.command(
    "import-results",
    short_help="Store the results of another program as a run.",
    epilog=exits(undecided="errors left fewer than half of the answers"),
)(import_results)
