"""Answers to requests of an admin client."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.kafka import answers
from connectors.kafka.answers import answer_of


def test_an_answer_that_never_comes_is_an_error_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LOST_AFTER_S", 0.01)
    never: Future[int] = Future()
    with pytest.raises(KafkaException) as lost:
        answer_of(never)
    assert lost.value.args[0].code() == KafkaError._TIMED_OUT
    assert lost.value.args[0].str() == "no answer within 0.01 s"


def test_an_answer_is_handed_on() -> None:
    given: Future[int] = Future()
    given.set_result(3)
    assert answer_of(given) == 3
    refused: Future[int] = Future()
    refused.set_exception(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
    with pytest.raises(KafkaException):
        answer_of(refused)
