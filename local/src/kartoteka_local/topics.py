"""Kafka's topics, made by the same command as in production."""

import sys
from typing import Final

from kartoteka_local.command import run_command
from kartoteka_local.errors import StackError
from kartoteka_local.plan import Plan

__all__ = ["provision_topics"]

_WAIT_SECONDS: Final = "60"
"""A broker takes connections before it serves."""
_WAIT_OUTSIDE: Final = "86400"
"""A broker of others is waited for as long as the start may take, which ends the command."""


async def provision_topics(plan: Plan) -> None:
    """Create what is missing.

    Raises:
        StackError: the broker does not answer or refuses, or a topic is not as it must be.
    """
    ran = await run_command(
        *(sys.executable, "-m", "kartoteka_runtime.topics_cli", "provision"),
        *("--wait", _WAIT_OUTSIDE if plan.broker is None else _WAIT_SECONDS),
        env=plan.env,
    )
    if ran.code != 0:
        lines = "\n".join(f"    | {line}" for line in ran.words)
        raise StackError(f"The topics on {plan.kafka_address} could not be made ready:\n{lines}")
