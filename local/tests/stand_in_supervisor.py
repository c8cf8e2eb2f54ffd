"""A supervisor of stand-ins, as a process of its own: to be killed."""

import asyncio
import sys
from pathlib import Path

from stand_ins import WITH_A_CHILD_OF_ITS_OWN, plan
from test_stack import stack_of

from kartoteka_local.stack_file import StackFile
from kartoteka_local.watcher import Watcher


async def main() -> None:
    with Watcher() as watcher:
        a_plan = plan(Path(sys.argv[1]), api=WITH_A_CHILD_OF_ITS_OWN)
        await stack_of(a_plan, watcher).run(asyncio.Event(), _nothing)


async def _nothing(_file: StackFile) -> None:
    return


if __name__ == "__main__":
    asyncio.run(main())
