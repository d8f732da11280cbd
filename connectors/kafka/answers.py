"""Waits for what a broker answers to the requests of an admin client."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Final, TypeVar

from confluent_kafka import KafkaError, KafkaException

LOST_AFTER_S: Final = 60.0
"""Longer than any request of ours may take; an answer that is not there by then never comes."""
_T = TypeVar("_T")


def answer_of(answer: Future[_T]) -> _T:
    """The answer. The client ends each request in time, but its thread loses an answer for which it finds no memory.

    Raises:
        KafkaException: the broker has refused the request or did not answer in time, or the answer is lost.
    """
    try:
        return answer.result(timeout=LOST_AFTER_S)
    except TimeoutError:
        lost = KafkaError(KafkaError._TIMED_OUT, f"no answer within {LOST_AFTER_S:g} s")  # noqa: SLF001 - its public name
        raise KafkaException(lost) from None
