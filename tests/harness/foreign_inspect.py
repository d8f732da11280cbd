"""Reads samples with Inspect AI, runs an exported task with it, and prints where its log is, as `.eval` and as JSON.

    python foreign_inspect.py SAMPLES TASK LOGS

Runs in an environment of its own, with the SDK, `connectors` and nothing of the pipeline.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from inspect_ai import eval as run_task
from inspect_ai.dataset import json_dataset
from inspect_ai.log import read_eval_log, write_eval_log


def main() -> None:
    samples, task, logs = map(str, sys.argv[1:])
    read = [one.model_dump(exclude_none=True) for one in json_dataset(samples)]
    (log,) = run_task(task, model="mockllm/model", log_dir=logs, display="none", log_format="eval")
    path = Path(logs) / "log.json"
    write_eval_log(read_eval_log(log.location), str(path))
    json.dump({"samples": read, "status": log.status, "log": str(path), "eval": log.location}, sys.stdout, default=str)


if __name__ == "__main__":
    main()
