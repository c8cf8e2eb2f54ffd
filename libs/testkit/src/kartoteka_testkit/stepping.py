"""Runs several users of an index one request at a time, in an order that a test chooses."""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, Generic, TypeVar

from qdrant_client import AsyncQdrantClient

__all__ = ["SteppedQdrant", "Walk", "run_through"]

T = TypeVar("T")

_STEPPED: Final = frozenset(
    {"count", "delete", "query_points", "retrieve", "scroll", "set_payload", "upsert"}
)


class _Step:
    """An awaitable that hands control back to whoever drives the coroutine, once."""

    def __await__(self) -> Generator[str, None, None]:
        yield "step"


class SteppedQdrant(AsyncQdrantClient):
    """A Qdrant in memory that stops before every request, and then serves it at once.

    In memory nothing ever waits, so the stops are the only points where users interleave.
    """

    def __init__(self) -> None:
        super().__init__(":memory:")

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return _stepped(found) if name in _STEPPED else found


class Walk(Generic[T]):
    """One user's coroutine, driven by hand."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self.result: T | None = None
        self._is_over = False

    def over(self) -> bool:
        """Whether it has returned or crashed."""
        return self._is_over

    def step(self) -> None:
        """Serve the request that it stopped before, and go on to the next one."""
        if self._is_over:
            return
        try:
            self._coroutine.send(None)
        except StopIteration as stop:
            self._is_over = True
            self.result = stop.value

    def finish(self) -> T | None:
        """Serve all its requests and return what it returned."""
        while not self._is_over:
            self.step()
        return self.result

    def crash(self) -> None:
        """Let it end here, before its next request."""
        self._coroutine.close()
        self._is_over = True


def run_through(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one user alone."""
    walk = Walk(coroutine)
    walk.finish()
    assert walk.over()
    return walk.result  # type: ignore[return-value] # it is over, so this is its result


def _stepped(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def stepped(*args: Any, **kwargs: Any) -> Any:
        await _Step()
        return await call(*args, **kwargs)

    return stepped
