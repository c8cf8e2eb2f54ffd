"""``kartoteka-topics``: make Kafka's topics, or say what is wrong with them."""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TextIO

from kartoteka_contracts.errors import UnavailableError
from kartoteka_runtime.env import SettingsError, variables
from kartoteka_runtime.kafka import KafkaSettings
from kartoteka_runtime.settings import TopicsSettings
from kartoteka_runtime.topics_admin import check, provision

__all__ = ["main"]

_WELL: Final = 0
_FAULTS: Final = 1
_USAGE: Final = 2
_AWAY: Final = 3
_RETRY_SECONDS: Final = 1.0

_ABOUT: Final = """\
Make Kartoteka's Kafka topics, or say what is wrong with them.

  provision  creates the topics that are missing, then checks all of them. Nothing that exists is
             changed, so it may run at every deployment, also twice at once.
  check      only reads.

Partition counts, cleanup policies and retention come from the topic registry of this release;
the installation's own figures come from the environment (below).
"""

_EXIT: Final = """\
exit status:
  0  all topics are as they must be
  1  some are not: each is named, with what to do
  2  wrong usage, or a wrong setting
  3  Kafka does not answer, or refuses us

example:
  KAFKA_BOOTSTRAP_SERVERS=kafka:9092 KAFKA_REPLICATION_FACTOR=3 KAFKA_MIN_INSYNC_REPLICAS=2 \\
      kartoteka-topics provision --wait 300
"""


def main(
    arguments: Sequence[str] | None = None,
    *,
    env: Mapping[str, str] | None = None,
    out: TextIO | None = None,
) -> int:
    """Run the command; return its exit status."""
    out = sys.stdout if out is None else out
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.CRITICAL)  # aiokafka's own lines would bury ours
    try:
        kafka = TopicsSettings.load(env).kafka
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return _USAGE
    command = _provision if options.command == "provision" else _check
    try:
        return asyncio.run(_patiently(command, kafka, out, options.wait))
    except UnavailableError as error:
        sys.stderr.write(f"{error.message}\n")
        return _AWAY


Command = Callable[[KafkaSettings, TextIO], Awaitable[int]]


async def _patiently(command: Command, kafka: KafkaSettings, out: TextIO, wait: float) -> int:
    deadline = time.monotonic() + wait
    while True:
        try:
            return await command(kafka, out)
        except UnavailableError:
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(_RETRY_SECONDS)


async def _provision(kafka: KafkaSettings, out: TextIO) -> int:
    report = await provision(kafka)
    out.writelines(f"created  {name}\n" for name in report.created)
    out.writelines(f"kept     {name}\n" for name in report.kept)
    return _verdict(report.faults, out)


async def _check(kafka: KafkaSettings, out: TextIO) -> int:
    return _verdict(await check(kafka), out)


def _verdict(faults: Sequence[str], out: TextIO) -> int:
    out.writelines(f"WRONG    {fault}\n" for fault in faults)
    if faults:
        return _FAULTS
    out.write("all topics are as they must be\n")
    return _WELL


def _parser() -> argparse.ArgumentParser:
    settings = "\n".join(
        f"  {name}\n      {' '.join(about.split())}"
        for name, about in variables(KafkaSettings).items()
    )
    parser = argparse.ArgumentParser(
        prog="kartoteka-topics",
        description=_ABOUT,
        epilog=f"environment:\n{settings}\n\n{_EXIT}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("provision", "check"))
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="keep trying for so long while Kafka does not answer (default: one try)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
