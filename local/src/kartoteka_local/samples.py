"""The sample documents: uploaded when new or changed, followed to their ends."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kartoteka_local.api_client import ApiClient, ApiError
from kartoteka_local.console import Console
from kartoteka_local.progress_board import ProgressBoard
from kartoteka_runtime.clock import Clock

__all__ = ["SAMPLES", "Samples"]

SAMPLES: Final = Path(__file__).resolve().parents[2] / "samples"
_POLL_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """A folder of documents and the cabinet that they go to."""

    folder: Path
    cabinet: int
    clock: Clock

    def files(self) -> list[Path]:
        """Return the documents, in the order of their names."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())

    async def index(self, api: ApiClient, console: Console) -> None:
        """Index what is new or changed, showing each stage.

        Raises:
            ApiError: the documents of the cabinet cannot be listed.
        """
        files = self.files()
        known = await api.indexed(self.cabinet)
        new = [path for path in files if known.get(path.name) != _sha256(path)]
        if len(new) < len(files):
            console.say(
                f"{len(files) - len(new)} of {len(files)} samples are indexed already and "
                "unchanged: they are not uploaded again."
            )
        if new:
            await self._follow_all(api, console, new)

    async def _follow_all(self, api: ApiClient, console: Console, new: Sequence[Path]) -> None:
        board = ProgressBoard(console, [path.name for path in new])
        with board.shown():
            await asyncio.gather(*(self._follow(api, board, path) for path in new))

    async def _follow(self, api: ApiClient, board: ProgressBoard, path: Path) -> None:
        began = self.clock.monotonic()
        task_id: str | None = None
        try:
            task_id = await api.upload(path, self.cabinet)
            async with asyncio.timeout(_LONGEST_SECONDS):
                while True:
                    state = await api.task(task_id)
                    board.update(path.name, state, self.clock.monotonic() - began)
                    if state.is_end:
                        return
                    await asyncio.sleep(_POLL_SECONDS)
        except ApiError as error:
            board.fail(path.name, str(error))
        except TimeoutError:
            board.fail(path.name, f"no end after {_LONGEST_SECONDS:.0f} s; GET /rag/task/{task_id}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
