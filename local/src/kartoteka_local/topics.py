"""Kafka's topics, made by the same command as in production."""

import asyncio
import sys
from typing import Final

from kartoteka_local.command import run_command
from kartoteka_local.errors import StackError
from kartoteka_local.plan import Plan

__all__ = ["provision_topics"]

_TRIES: Final = 5
_PAUSE_SECONDS: Final = 1.0


async def provision_topics(plan: Plan) -> None:
    """Create what is missing.

    Raises:
        StackError: the broker refuses, or a topic is not as it must be.
    """
    for _ in range(_TRIES):
        ran = await run_command(
            sys.executable, "-m", "kartoteka_runtime.topics_cli", "provision", env=plan.env
        )
        if ran.code == 0:
            return
        await asyncio.sleep(_PAUSE_SECONDS)  # a broker may take connections before it serves
    lines = "\n".join(f"    | {line}" for line in ran.words)
    raise StackError(f"The topics on {plan.kafka_address} are not as they must be:\n{lines}")
