"""Structured logs: an event is a constant, its data are fields.

Fields hold ids, counts and codes; never document text, never a secret.
"""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from kartoteka_runtime.env import Fragment

__all__ = ["LogSettings", "configure", "get_logger"]


class LogSettings(Fragment):
    """How the process logs."""

    prefix: ClassVar[str] = "LOG_"

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is written: debug, info, warning or error."""
    format: Literal["json", "console"] = "json"
    """json, one object a line, for collectors; console for people."""


_QUIET: Final = ("aiokafka", "httpx", "httpcore", "faust", "mode", "asyncio", "opentelemetry")
"""Libraries whose info lines would drown ours: shown from warning on, unless debugging."""


_REPEAT_SECONDS: Final = 10.0
"""A library's warning of the same wording is written once in it, unless debugging."""
_REMEMBERED: Final = 1000


def configure(settings: LogSettings, *, service: str, stream: TextIO | None = None) -> None:
    """Route structlog and the standard library's loggers to one stream, stdout by default.

    Idempotent; called once by the composition root.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _service(service),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream if stream is not None else sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings),
            ],
        )
    )
    if settings.level != "debug":
        handler.addFilter(_Damper())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    root.setLevel(level)
    for name in _QUIET:
        quiet = level if level == logging.DEBUG else max(level, logging.WARNING)
        logging.getLogger(name).setLevel(quiet)


class _Damper(logging.Filter):
    """Lets a library say the same thing once in a while.

    A client whose broker is away says it dozens of times a second, for hours.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._said: dict[tuple[str, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _QUIET or record.levelno < logging.WARNING:
            return True
        if len(self._said) >= _REMEMBERED:
            self._said.clear()
        key, now = (record.name, record.msg), self._now()
        if now - self._said.get(key, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
            return False
        self._said[key] = now
        return True


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module; safe at import, it connects to nothing."""
    return structlog.stdlib.get_logger(name)


def _renderers(settings: LogSettings) -> list[Processor]:
    if settings.format == "console":
        # The other formatters show local variables, documents and keys among them, and take half a
        # second of the event loop for each stack.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _service(name: str) -> Processor:
    def add(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", name)
        return event

    return add
