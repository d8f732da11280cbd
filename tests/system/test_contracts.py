"""Contracts in a whole run: every call that is judged has one result per rule. `test_kill` has them killed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from aftercall.check_record import CheckRecord
from flows.dataflow.check_rows import shown
from system.commands import table
from system.contract_files import write_contracts
from system.runs import PUBLISH, history, replay

pytestmark = pytest.mark.slow

CALLS = 2_000
COLUMNS: tuple[str, ...] = (
    *("call_id", "call_occurred_at", "task_type", "model", "config", "contract", "contract_version", "rule", "type"),
    *("severity", "result", "actual", "threshold", "details"),
)


def published(path: Path) -> Counter[str]:
    """The violations in a file, as the table `checks` has them."""
    found, ids = Counter[str](), set[str]()
    for line in path.read_text().splitlines():
        record = CheckRecord.parse(line)
        ids.add(record.event_id)
        row = {name: getattr(record, name) for name in COLUMNS}
        row["call_occurred_at"] = record.call_occurred_at.replace(tzinfo=None)
        row |= {name: shown(row[name]) for name in ("actual", "threshold")}
        found[repr(tuple(row.values()))] += 1
    assert len(ids) == found.total()
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run. Nothing ages in it, so that what trust has counted is in the rates."""
    folder = tmp_path_factory.mktemp("contracts")
    write_contracts(folder)
    replay(history(folder, calls=CALLS), folder / "out", settings=PUBLISH | {"AFTERCALL_TRUST__HALF_LIFE": "36500d"})
    return folder / "out"


def test_every_judged_call_has_one_result_per_rule_and_violations_have_rows_and_statements(ran: Path) -> None:
    with duckdb.connect(str((ran / "outcomes.duckdb").resolve()), read_only=True) as snapshot:
        sums = snapshot.execute(
            "SELECT contract_version, rule, sum(checked + not_applicable + errors), sum(failed), sum(errors)"
            " FROM check_rates WHERE grain = '1h' GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        judged = dict(snapshot.execute("SELECT version, calls FROM contracts").fetchall())
        wanted = dict(
            snapshot.execute(
                "SELECT if(occurred_at < '2025-03-04 12:00', '1', '2') AS version, count(*) FROM calls WHERE"
                " attempt = 0 AND (version = '2' OR task_type = 'summarise') GROUP BY version"
            ).fetchall()
        )
        rows = dict(
            snapshot.execute("SELECT rule, count(*) FROM checks WHERE result = 'fail' GROUP BY rule").fetchall()
        )
        failed = snapshot.execute(f"SELECT {', '.join(COLUMNS)} FROM checks WHERE result = 'fail'").fetchall()
        own = snapshot.execute("SELECT count(*) FROM statements WHERE outcome_id LIKE 'contract:%'").fetchall()
        severe = snapshot.execute(
            "SELECT count(DISTINCT (call_id, call_occurred_at)) FROM checks WHERE severity = 'critical'"
        ).fetchall()
    assert judged == wanted
    assert [(version, rule, judged[version]) for version, rule, *_ in sums] == [row[:3] for row in sums]
    assert {rule: failed for _, rule, _, failed, _ in sums if failed} == rows
    assert {"fast", "tools", "cheap", "retries", "talk", "long"} == rows.keys()
    assert published(ran / "checks.jsonl") == Counter(map(repr, failed))
    assert own == severe
    assert own[0][0] > 20


@pytest.mark.parametrize(
    ("dimension", "rules"),
    [("latency", "'fast'"), ("cost", "'cheap', 'talk', 'long'"), ("tool_discipline", "'retries'")],
)
def test_trust_counts_the_checks_of_every_rule_by_its_dimension(ran: Path, dimension: str, rules: str) -> None:
    rates = table(
        ran,
        "SELECT task_type, sum(checked), sum(passed) / sum(checked) FROM check_rates"
        f" WHERE grain = '1h' AND rule IN ({rules}) GROUP BY task_type HAVING sum(checked) > 0",
    )
    assert rates
    trust = dict(table(ran, "SELECT task_type, dimensions FROM trust WHERE newest AND model IS NULL"))
    for task, checked, rate in rates:
        (found,) = [one for one in json.loads(trust[task]) if one["dimension"] == dimension]
        # The hour that is open at the end has no score so far.
        assert checked * 0.97 < found["n"] <= checked
        assert found["rate"] == pytest.approx(rate, abs=0.01)


def test_the_records_of_trust_are_its_rows(ran: Path) -> None:
    records = [json.loads(line) for line in (ran / "trust.jsonl").read_text().splitlines()]
    rows = table(ran, "SELECT task_type, model, config, seq, score_low, newest FROM trust")
    assert len(records) == len(rows) > 1_000
    names = ("task_type", "model", "config", "seq", "score_low")
    assert Counter(tuple(one[name] for name in names) for one in records) == Counter(row[:-1] for row in rows)
    newest = {one["series"]: one["seq"] for one in sorted(records, key=lambda one: one["seq"])}
    assert sum(newest.values()) == len(records), "each series counts from 1"
    assert sorted(row[3] for row in rows if row[-1]) == sorted(newest.values())


def test_each_violation_of_a_critical_rule_is_counted_by_one_alert_and_its_row_goes_with_its_call(
    tmp_path: Path,
) -> None:
    write_contracts(tmp_path)
    replay(history(tmp_path, calls=CALLS), tmp_path / "out", settings={"AFTERCALL_RETENTION__CALLS": "1d"})
    records = [json.loads(line) for line in (tmp_path / "out" / "alerts.jsonl").read_text().splitlines()]
    newest = {one["alert_id"]: one for one in sorted(records, key=lambda one: one["seq"]) if one["kind"] == "contract"}
    each = [one for one in newest.values() if "violations" in one["evidence"]]
    counted = Counter[str]()
    for one in each:
        counted[one["metric"]] += one["evidence"]["violations"]
    with duckdb.connect(str((tmp_path / "out" / "outcomes.duckdb").resolve()), read_only=True) as snapshot:
        failed = snapshot.execute(
            "SELECT 'summaries.' || rule, sum(failed) FROM check_rates WHERE grain = '1h' AND rule IN ('fast', 'tools')"
            " GROUP BY rule"
        ).fetchall()
        calls, checks = (
            snapshot.execute(f"SELECT count(*), min({at}), max({at}) FROM {table}").fetchall()[0]
            for table, at in (("calls", "occurred_at"), ("checks", "call_occurred_at"))
        )
        alone = snapshot.execute("SELECT count(*) FROM checks ANTI JOIN calls USING (call_id)").fetchall()
    assert CALLS / 10 < calls[0] < CALLS / 2, "those of the last days are left"
    assert calls[1] <= checks[1] < checks[2] <= calls[2]
    assert (alone, checks[0] > 20) == ([(0,)], True)
    assert counted == dict(failed)
    assert all(one["severity"] == "critical" and one["state"] in {"opened", "updated", "closed"} for one in each)
