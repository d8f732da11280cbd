from __future__ import annotations

from connectors.kafka.source import KafkaLanes, with_unknown_topics


def test_positions_of_version_1_have_neither_a_topic_s_id_nor_a_leader_s_epoch() -> None:
    before = {"lanes": 3, "partitions": {("agent.calls", 0): (7, 1_000), ("agent.outcomes", 2): (0, -5)}}
    after = {"lanes": 3, "partitions": {("agent.calls", 0): (7, "", -1, 1_000), ("agent.outcomes", 2): (0, "", -1, -5)}}
    assert with_unknown_topics(before) == after
    assert KafkaLanes.state_migrations[1] is with_unknown_topics
