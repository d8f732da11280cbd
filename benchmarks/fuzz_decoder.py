"""Fuzzes the decoder with a million inputs, guided by code coverage: `make fuzz`.

atheris (libFuzzer for Python) instruments the modules that it imports from `connectors` and `aftercall`;
`benchmarks.fuzz_target` checks what must hold. An input that fails a check is left in the folder that is printed, and
the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks import report

SEED: Final = 7
_ROOMS: Final = ("connectors", "aftercall")
_LONGEST: Final = 4_096
_DONE: Final = re.compile(r"DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/")


def main() -> int:
    """Run the fuzzer in a separate process, and write its results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_decoder", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder is not None:
        _fuzz(given.folder, given.inputs, given.seed)
    folder = Path(tempfile.mkdtemp(prefix="aftercall-fuzz-"))
    print(f"{given.inputs:,} inputs, seed {given.seed}, in {folder}", flush=True)
    command = [sys.executable, "-m", "benchmarks.fuzz_decoder", "--in", str(folder)]
    with (folder / "fuzzer.log").open("wb") as log:
        done = subprocess.run(
            [*command, "--inputs", str(given.inputs), "--seed", str(given.seed)], stderr=log, stdout=log, check=False
        )
    log_text = (folder / "fuzzer.log").read_text(errors="replace")
    covered = _DONE.search(log_text)
    if done.returncode or covered is None:
        print(f"{log_text[-4000:]}\nfuzz: ended with exit code {done.returncode}; see {folder}", file=sys.stderr)
        return 1
    seen = json.loads((folder / "seen.json").read_text())
    figures = {
        "inputs": seen["inputs"],
        "corpus": int(covered[3]),
        "branches_covered": int(covered[1]),
        "memory_growth_mb": seen["memory_mb"][-1] - seen["memory_mb"][0],
        "inputs_per_s": round(seen["inputs"] / seen["seconds"]),
        "defects": 0,
    }
    for name, figure in figures.items():
        print(f"{name:20} {figure:>12,}")
    for slug, count in sorted(seen["slugs"].items(), key=lambda item: -item[1]):
        print(f"  {slug:18} {count:>12,}")
    details = {
        "ends": seen["slugs"],
        "memory_mb": seen["memory_mb"],
        "instrumented": _ROOMS,
        "atheris": seen["atheris"],
    }
    sizes = {"longest_input": _LONGEST}
    print(f"written to {report.write('fuzz', figures, seed=given.seed, sizes=sizes, details=details)}")
    return 0


def _fuzz(folder: Path, inputs: int, seed: int) -> None:
    """Run libFuzzer, which ends the process: never returns."""
    atheris: Any = importlib.import_module("atheris")
    hook: Any = importlib.import_module("atheris.import_hook")
    # Like `atheris.instrument_imports`, but without the tracing of comparisons, which leaks 5 KB per input in 3.0.0.
    with hook.HookManager(set(_ROOMS), set(), enable_loader_override=True, trace_dataflow=False):
        from benchmarks import fuzz_inputs, fuzz_target
    seen, slugs, memory = 0, Counter[str](), [0]
    started = time.monotonic()

    def check_input(data: bytes) -> None:
        nonlocal seen
        slugs[fuzz_target.check(fuzz_inputs.message(data))] += 1
        seen += 1
        if seen == inputs // 10:
            memory[0] = _resident_mb()
        if seen % max(1, inputs // 10) == 0:
            memory.append(_resident_mb())
            so_far = {"inputs": seen, "slugs": slugs, "memory_mb": memory[1:], "seconds": time.monotonic() - started}
            (folder / "seen.json").write_text(json.dumps(so_far | {"atheris": version("atheris")}))

    def mutate(data: bytes, longest: int, seed_of_input: int) -> bytes:
        draw = random.Random(seed_of_input)
        if draw.random() < 0.4:
            return bytes(atheris.Mutate(data, longest))
        return fuzz_inputs.mutated(data, draw)[:longest]

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(fuzz_inputs.seeds()):
        (corpus / f"seed-{number:02}").write_bytes(data)
    options = [f"-runs={inputs}", f"-seed={seed}", f"-max_len={_LONGEST}", "-rss_limit_mb=1024", "-timeout=10"]
    arguments = ["fuzz", *options, f"-artifact_prefix={folder}{os.sep}", str(corpus)]
    atheris.Setup(arguments, check_input, custom_mutator=mutate)
    atheris.Fuzz()


def _resident_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


if __name__ == "__main__":
    sys.exit(main())
