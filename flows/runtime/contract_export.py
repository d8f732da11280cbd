"""Writes the starts that a run has fixed into the files of contracts, so that a replay judges as the run did."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aftercall.contracts.contract import Contract, ContractError
from aftercall.contracts.files import read_contract
from aftercall.times import format_time
from flows.runtime.contract_starts import known_in, read_contracts
from flows.runtime.run_folder import Run
from flows.settings import Settings

_FIELD: Final = "effective_from"


def export_starts(settings: Settings, run: Run) -> list[Path]:
    """Write `effective_from` into each file whose start the run has fixed; returns these files.

    What begins with the beginning of time needs none. A file is replaced only by one that reads as the same contract.

    Raises:
        ContractError: a file is wrong, is another one than the run has, or cannot be written.
    """
    starts = {(one.name, one.version, one.hash): one.effective_from for one in known_in(run)}
    written = []
    for contract in read_contracts(settings):
        key = contract.name, contract.version, contract.hash
        if key not in starts:
            raise ContractError(
                f"{contract.place}: must be as the run has it; {contract.label} is not (start the run with it first)"
            )
        start = starts[key]
        if start is not None and contract.effective_from_us is None:
            _write(contract, start)
            written.append(Path(contract.place))
    return written


def _write(contract: Contract, start: int) -> None:
    path = Path(contract.place)
    draft = path.with_name(f".{path.stem}.draft{path.suffix}")
    try:
        draft.write_text(_WITH_START[path.suffix](path.read_text(encoding="utf-8"), format_time(start)), "utf-8")
        made = read_contract(draft)
        if (made.hash, made.effective_from_us) != (contract.hash, start):
            raise ContractError(
                f"{path}: {_FIELD} cannot be put in behind `version` (write it yourself: {format_time(start)})"
            )
        draft.replace(path)
    except OSError as wrong:
        raise ContractError(f"{path}: must be writable; {wrong.strerror} (make it writable)") from None
    finally:
        draft.unlink(missing_ok=True)


def _after_version(sign: str) -> Callable[[str, str], str]:
    def written(text: str, start: str) -> str:
        line = re.compile(rf"^version[ \t]*{sign}.*$", re.MULTILINE)
        return line.sub(lambda found: f'{found[0]}\n{_FIELD} {sign} "{start}"'.replace(" :", ":"), text, count=1)

    return written


def _in_json(text: str, start: str) -> str:
    content = json.loads(text)
    return json.dumps({**content, _FIELD: start}, indent=2, ensure_ascii=False) + "\n"


_yaml = _after_version(":")
_WITH_START: Final[dict[str, Callable[[str, str], str]]] = {
    ".toml": _after_version("="),
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _in_json,
}
