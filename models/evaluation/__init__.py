"""Judge runs of an evaluation suite: what has regressed, how often a gate cries wolf, what is better or too polite."""

from __future__ import annotations

from models.evaluation.builds import one_run, recorded_runs, with_confirmations
from models.evaluation.gate import Gate, gate_by_rows, gate_plainly
from models.evaluation.mean_rule import MeanRule, alarms_falsely, falls_under_mean
from models.evaluation.off_policy import Estimate, Logged, PolicyValue, judge
from models.evaluation.paired import PairedDifference, paired_differences
from models.evaluation.row_rule import ENOUGH_RUNS, HISTORY_RUNS, RUNS_PER_ROUND, RowRule
from models.evaluation.self_comparison import FalseBlocks, false_blocks
from models.evaluation.trials import RowTrials
from models.evaluation.weights import StrataCells, Weighed, in_strata, strata_of, weigh

__all__ = [
    "ENOUGH_RUNS",
    "HISTORY_RUNS",
    "RUNS_PER_ROUND",
    "Estimate",
    "FalseBlocks",
    "Gate",
    "Logged",
    "MeanRule",
    "PairedDifference",
    "PolicyValue",
    "RowRule",
    "RowTrials",
    "StrataCells",
    "Weighed",
    "alarms_falsely",
    "falls_under_mean",
    "false_blocks",
    "gate_by_rows",
    "gate_plainly",
    "in_strata",
    "judge",
    "one_run",
    "paired_differences",
    "recorded_runs",
    "strata_of",
    "weigh",
    "with_confirmations",
]
