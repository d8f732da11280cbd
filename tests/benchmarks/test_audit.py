"""`make audit` fails on an advisory, on one accepted for too long, and where there is no answer."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import audit
from harness.waiting import HANG_S

ADVISORY: dict[str, Any] = {
    "id": "PYSEC-1",
    "aliases": ["GHSA-1"],
    "fix_versions": ["3.1"],
    "description": "It bursts.",
}
AUDITED: list[dict[str, Any]] = [
    {"name": "one", "version": "1.0", "vulns": []},
    {"name": "two", "version": "3.0", "vulns": [ADVISORY]},
]
TODAY = date(2026, 11, 29)


def accepted(package: str = "two", until: date = TODAY, name: str = "GHSA-1") -> dict[str, Any]:
    return {name: {"package": package, "reason": "no such input", "until": until}}


def judged(entries: dict[str, Any]) -> list[str]:
    return list(audit.judged(AUDITED, entries, TODAY))


def test_an_advisory_fails_unless_it_is_accepted_by_any_of_its_names_and_for_now() -> None:
    assert judged({}) == ["two 3.0: PYSEC-1, fixed in 3.1: It bursts."]
    assert judged(accepted()) == judged(accepted(name="PYSEC-1")) == []
    assert judged(accepted(until=date(2026, 11, 28))) == ["two 3.0: GHSA-1 was accepted until 2026-11-28; fixed in 3.1"]


def test_an_entry_for_another_package_or_without_an_advisory_accepts_nothing() -> None:
    stale = "one: GHSA-1 is accepted and no longer reported (take it out of pyproject.toml)"
    assert judged(accepted("one")) == ["two 3.0: PYSEC-1, fixed in 3.1: It bursts.", stale]
    assert "other: GHSA-2 is accepted and no longer reported" in judged(accepted("other", name="GHSA-2"))[-1]


def test_a_package_without_an_answer_fails() -> None:
    assert not audit.not_audited(AUDITED, {"one", "two"})
    assert audit.not_audited(AUDITED, {"one", "two", "three"}).startswith("1 of 3 packages must be audited and are not")
    skipped = [{"name": "one", "skip_reason": "it could not be audited"}]
    assert "it could not be audited" in audit.not_audited(skipped, {"one"})


def test_the_packages_are_those_of_the_constraints_whose_marker_holds() -> None:
    c = "c==2 ; python_full_version < '3' \\\n    --hash=sha256:01\n"
    lines = f"# made by\na.b==1.0 \\\n    --hash=sha256:00\n{c}d==3\n"
    assert audit.applying(lines) == {"a-b", "d"}
    assert len(audit.applying(audit.CONSTRAINTS.read_text(encoding="utf-8"))) > 60


@pytest.fixture
def service() -> Iterator[tuple[str, dict[str, Any]]]:
    """Answers as OSV does: its address, and the advisories by package."""
    advisories: dict[str, Any] = {}

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = advisories.get(asked["package"]["name"])
            body = json.dumps({"vulns": [found]} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", advisories
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def pip_audit(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("audit")
    uv = str(Path(sys.executable).with_name("uv"))
    group = ["--group", f"{audit.ROOT / 'pyproject.toml'}:audit", "-c", str(audit.CONSTRAINTS)]
    for command in (
        [uv, "venv", "-q", "-p", sys.executable, str(place)],
        [uv, "pip", "install", "-q", "-p", str(place / "bin" / "python"), *group],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=HANG_S)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"pip-audit cannot be installed with uv here: {error}")
    return str(place / "bin" / "pip-audit")


@pytest.mark.slow
def test_pip_audit_fails_once_a_service_knows_an_advisory_and_where_none_answers(
    service: tuple[str, dict[str, Any]], pip_audit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, advisories = service
    asked = [pip_audit, "--cache-dir", str(tmp_path), "--vulnerability-service", "osv", "--osv-url"]
    assert audit.main([*asked, address]) == 0
    assert "no advisory but those accepted" in capsys.readouterr().out
    advisories["msgpack"] = {
        "id": "PYSEC-1",
        "summary": "It bursts.",
        "affected": [{"package": {"name": "msgpack", "ecosystem": "PyPI"}, "ranges": []}],
    }
    assert audit.main([*asked, address]) == 3
    assert "PYSEC-1, fixed in no version: It bursts." in capsys.readouterr().err
    assert audit.main([*asked, "http://127.0.0.1:9/"]) == 1
    assert "pip-audit: must answer" in capsys.readouterr().err
