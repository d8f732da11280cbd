"""An agent that follows recommendations leaves a model that got worse; its snapshot alone shows when, and why."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import pytest

from aftercall import Client
from aftercall.capture.call import Call
from aftercall.routes import Arm, KafkaSource, Routes
from aftercall.times import HOUR_S
from aftercall.transports.kafka import KafkaTransport
from harness.waiting import HANG_S
from kafka.service import Pipeline

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.kafka]

LARGE, SMALL = Arm("large", "v1"), Arm("small", "v1")
HOURS, CHANGE, CALLS = 11, 6, 60
"""The large model gets worse at the beginning of hour `CHANGE`; there are so many calls an hour."""


class Agent:
    """Answers at a simulated time, which the client and what it follows take for the present."""

    def __init__(self, made: Pipeline) -> None:
        self.now_s = float((int(time.time()) // HOUR_S - HOURS - 2) * HOUR_S)
        brokers, topics = made.cluster.bootstrap, made.topics
        self.client = Client(
            transport=KafkaTransport(brokers, calls=topics["calls"], outcomes=topics["outcomes"]),
            spool=made.folder / "spool",
        )
        # A client follows by the clock of its machine.
        source = KafkaSource(brokers, topics["recommendations"])
        self.client._routes = Routes(source, clock=lambda: self.now_s)
        self._random = random.Random(8)

    def time_ns(self) -> int:
        return int(self.now_s * 1e9)

    def work_an_hour(self, hour: int) -> None:
        for number in range(CALLS):
            self.now_s += HOUR_S / CALLS
            self._answer(f"user-{hour}-{number}", number, is_worse=hour >= CHANGE)
        assert self.client.flush(HANG_S)

    def _answer(self, user: str, number: int, *, is_worse: bool) -> None:
        arm = self.client.route("support", default=LARGE if number % 2 else SMALL, key=user, allowed={LARGE, SMALL})
        with self.client.session(f"conversation-{user}"), self.client.track(arm=arm) as call:
            if number % 10 == 0:
                self._try_another(call)
            with call.attempt(model=arm.model, config=arm.config):
                pass
        quality = 0.75 if arm.model == "small" else 0.3 if is_worse else 0.97
        success = self._random.random() < quality
        if number % 2:
            self.client.outcome(call.call_id, source="review", success=success, author=f"reviewer-{number % 3}")
        else:
            self.client.outcome(session_id=f"conversation-{user}", source="user_feedback", success=success)

    @staticmethod
    def _try_another(call: Call) -> None:
        with suppress(TimeoutError), call.attempt(model="flaky", config="v1"):
            raise TimeoutError("no answer")

    def follows_what_is_known_of(self, hour_s: float, made: Pipeline) -> bool:
        """Whether it has the newest recommendation of a snapshot that knows all minutes before this hour.

        None may have been issued in an hour: one is where weights move, or half of the last one's life is over.
        """
        watermark = made.row().get("watermark")
        if watermark is None or watermark.replace(tzinfo=UTC).timestamp() < hour_s:
            return False
        (newest,) = made.table("SELECT max(seq) AS seq FROM recommendations WHERE task_type = 'support'")
        assert self.client._routes is not None
        known = self.client._routes._table.get("support")
        return newest["seq"] is None or (known is not None and known.seq >= newest["seq"])


# Each call that followed, the recommendation that it names, and what the arms that it was drawn among had of the whole.
FOLLOWED = """
SELECT c.propensity, arm.weight / sum(other.weight) AS share, c.occurred_at >= arm.issued_at AS later
FROM calls c
JOIN recommendations arm USING (recommendation_id, model, config)
JOIN recommendations other ON other.recommendation_id = arm.recommendation_id AND other.model IN ('large', 'small')
WHERE c.attempt = 0
GROUP BY c.call_id, c.propensity, c.occurred_at, arm.weight, arm.issued_at
"""
SHARES = """
SELECT avg((model = 'small')::INTEGER) AS small FROM calls
WHERE attempt = 0 AND occurred_at > ? AND occurred_at <= ? AND recommendation_id IS NOT NULL
"""
TURN = """
SELECT small.issued_at, small.reason, large.rate AS large, small.rate AS small, before.rate AS large_before
FROM recommendations small JOIN recommendations large USING (recommendation_id)
JOIN recommendations before ON before.model = 'large' AND before.seq = (
    SELECT max(seq) FROM recommendations WHERE issued_at <= ? AND task_type = 'support'
)
WHERE small.model = 'small' AND large.model = 'large' AND small.weight > large.weight
ORDER BY small.seq LIMIT 1
"""


def test_traffic_leaves_a_model_that_got_worse_and_the_snapshot_shows_why(
    pipeline: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pipeline(session_wait="1m")
    made.settings |= {"routing": {"memory": "3h"}, "recovery": {"epoch": "1s"}, "snapshot": {"every": "1s"}}
    agent = Agent(made)
    for module in ("draft", "statement"):
        monkeypatch.setattr(f"aftercall.capture.{module}.time_ns", agent.time_ns)
    began_s, running = agent.now_s, made.start()
    assert agent.client.ready(HANG_S)
    for hour in range(HOURS):
        agent.work_an_hour(hour)
        if hour:
            running.until(partial(agent.follows_what_is_known_of, began_s + (hour - 1) * HOUR_S, made))
    # What is said about the last conversations waits for their last calls, until the watermark says that none comes.
    running.until(lambda: made.row().get("outcomes", 0) == CALLS * HOURS)
    assert made.row()["records"] == 2 * CALLS * HOURS
    assert running.metric("aftercall_split_keys_total") == 0
    agent.client.close(HANG_S)
    running.stop()
    assert_all_is_there(made)
    assert_the_snapshot_shows_why(made, began_s)


def assert_all_is_there(made: Pipeline) -> None:
    """Calls, their failed attempts, and the statements of sessions and of people."""
    row = made.row()
    assert {name: row[name] for name in ("calls", "outcomes", "attempts", "successes", "failures")} == {
        "calls": CALLS * HOURS,
        "outcomes": CALLS * HOURS,
        "attempts": CALLS * HOURS // 10,
        "successes": row["calls"] + row["attempts"] - row["failures"],
        "failures": row["failures"],
    }
    assert not {name: row[name] for name in ("duplicates", "orphans", "dead_letters", "session_late") if row[name]}
    said = made.table("SELECT source, count(*) AS said, count(author) AS authors FROM statements GROUP BY 1 ORDER BY 1")
    half = CALLS * HOURS // 2
    assert [tuple(one.values()) for one in said if one["source"] != "call"] == [
        ("review", half, half),
        ("user_feedback", half, 0),
    ]


def assert_the_snapshot_shows_why(made: Pipeline, began_s: float) -> None:
    """By SQL alone: propensities are those of the draws, traffic moves after the change, a recommendation says why."""

    def at(hour: int) -> datetime:
        return datetime.fromtimestamp(began_s + hour * HOUR_S, UTC).replace(tzinfo=None)

    followed = made.table(FOLLOWED)
    assert len(followed) >= CALLS * (HOURS - 3)
    assert [one for one in followed if abs(one["propensity"] - one["share"]) > 1e-9 or not one["later"]] == []
    (defaults,) = made.table("SELECT count(*) AS n, max(occurred_at) AS last FROM calls WHERE propensity IS NULL"
                             " AND recommendation_id IS NULL AND attempt = 0")  # fmt: skip
    assert defaults["n"] == CALLS * HOURS - len(followed)
    assert defaults["last"] < at(3)
    (before,), (after,) = (made.table(SHARES, span) for span in ((at(4), at(CHANGE)), (at(HOURS - 2), at(HOURS))))
    assert before["small"] < 0.2
    assert after["small"] > 0.8
    (turn,) = made.table(TURN, (at(CHANGE),))
    assert at(CHANGE) < turn["issued_at"] <= at(CHANGE + 3)
    assert turn["large"] < turn["small"]
    assert turn["large"] < turn["large_before"] - 0.1
    assert turn["reason"].startswith("small/v1 is best with probability")
