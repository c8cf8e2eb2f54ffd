"""Starts the embedded Qdrant: ``python -m kartoteka_local.qdrant --data DIR --port N``."""

import argparse
import asyncio
import importlib.metadata
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import uvicorn

from kartoteka_local.aside import aside
from kartoteka_local.qdrant.app import application
from kartoteka_local.qdrant.refusal import CorruptDataError, Refusal
from kartoteka_local.qdrant.settings import EmbeddedQdrantSettings
from kartoteka_local.qdrant.store import FolderInUseError, Store
from kartoteka_runtime.env import SettingsError

_ENGINE: Final = "0.9.0"
"""Older engines lose acknowledged writes on a kill; newer ones have not been tried."""


class _Server(uvicorn.Server):
    """Says when it can be called."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or []:
            host, port = each.getsockname()[:2]
            print(f"embedded Qdrant ready on http://{host}:{port}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 1 with the reason on stderr where that cannot be."""
    try:
        settings = _settings(arguments)
        _check_engine()
        bound = _bind(settings.host, settings.port)
        store = Store.open(settings.data)
    except (SettingsError, FolderInUseError, Refusal, OSError) as error:
        return _refused(str(error))
    except CorruptDataError as error:
        return _refused(f"{error}. {aside(settings.data)}\n\nThen upload the documents again.")
    key = settings.api_key
    app = application(
        store,
        api_key=None if key is None else key.get_secret_value(),
        flush_seconds=settings.flush_seconds,
    )
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, workers=1, timeout_graceful_shutdown=5
    )
    # uvicorn stops by itself and then raises the signal again, for whoever had it before.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: None)
    asyncio.run(_Server(config).serve(sockets=[bound]))
    return 0


def _refused(why: str) -> int:
    print(f"the embedded Qdrant does not start: {why}", file=sys.stderr, flush=True)
    return 1


def _settings(arguments: list[str] | None) -> EmbeddedQdrantSettings:
    parser = argparse.ArgumentParser(prog="kartoteka_local.qdrant", description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder of all collections")
    parser.add_argument("--port", type=int, help="the port to listen on; 0 takes a free one")
    parser.add_argument("--host", help="the address to listen on")
    given = {
        key: value for key, value in vars(parser.parse_args(arguments)).items() if value is not None
    }
    return EmbeddedQdrantSettings.load().model_copy(update=given)


def _check_engine() -> None:
    found = importlib.metadata.version("qdrant-edge-py")
    if found != _ENGINE:
        raise SettingsError((f"qdrant-edge-py is {found} and must be {_ENGINE}",))


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.create_server((host, port))
    bound.settimeout(0)
    return bound


if __name__ == "__main__":
    sys.exit(main())
