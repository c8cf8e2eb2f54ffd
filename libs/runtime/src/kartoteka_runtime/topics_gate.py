"""Keeps a process from being ready while topics are not as they must be."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final, NoReturn

from kartoteka_contracts.errors import UnavailableError
from kartoteka_contracts.topics import TOPICS, Topic
from kartoteka_runtime.health import Health
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.logs import get_logger
from kartoteka_runtime.topics_admin import check

__all__ = ["HOLD", "keep_checked", "wait_until_right"]

_log = get_logger(__name__)

HOLD: Final = "topics"
"""The name of the hold on health."""


def wait_until_right(
    health: Health,
    kafka: KafkaSettings,
    *,
    topics: Mapping[str, Topic] = TOPICS,
    retry_seconds: float = 2.0,
) -> Coroutine[Any, Any, None]:
    """Hold health now; the coroutine returns, the hold cleared, once the topics are right.

    For those that may not start before, such as a consumer of the topics. It never gives up: while
    Kafka is away or a topic is wrong, the hold says so.
    """
    health.hold(HOLD, "topics have not been checked yet")
    return _wait(health, kafka, topics, retry_seconds)


def keep_checked(
    health: Health,
    kafka: KafkaSettings,
    *,
    topics: Mapping[str, Topic] = TOPICS,
    retry_seconds: float = 2.0,
    recheck_seconds: float = 60.0,
) -> Coroutine[Any, Any, NoReturn]:
    """Hold health now; the coroutine runs for ever and keeps the hold true.

    Once topics were right, Kafka being away is no reason to hold: it says nothing about them.
    """
    first = wait_until_right(health, kafka, topics=topics, retry_seconds=retry_seconds)

    async def keep() -> NoReturn:
        await first
        while True:
            await asyncio.sleep(recheck_seconds)
            if await _went_wrong(health, kafka, topics):
                await _wait(health, kafka, topics, retry_seconds)

    return keep()


async def _wait(
    health: Health, kafka: KafkaSettings, topics: Mapping[str, Topic], retry_seconds: float
) -> None:
    said = ""
    while True:
        reason = await _reason(kafka, topics)
        if reason is None:
            health.clear(HOLD)
            _log.info("topics_checked", topics=len(topics))
            return
        health.hold(HOLD, reason)
        if reason != said:  # an outage of hours is one line
            _log.warning("topics_wrong", reason=reason)
            said = reason
        await asyncio.sleep(retry_seconds)


async def _went_wrong(health: Health, kafka: KafkaSettings, topics: Mapping[str, Topic]) -> bool:
    try:
        faults = await check(kafka, topics)
    except UnavailableError:
        return False
    if faults:
        health.hold(HOLD, "; ".join(faults))
    return bool(faults)


async def _reason(kafka: KafkaSettings, topics: Mapping[str, Topic]) -> str | None:
    try:
        faults = await check(kafka, topics)
    except UnavailableError as error:
        return error.message
    return "; ".join(faults) or None
