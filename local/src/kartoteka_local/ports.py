"""Which port each server gets."""

import contextlib
import json
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kartoteka_local.errors import StackError
from kartoteka_local.home import Home

__all__ = ["Ports"]

_RANGE: Final = range(20_000, 32_000)
"""Below what systems hand out for outgoing connections, so that nothing takes one by chance."""
_TRIES: Final = 200


@dataclass(slots=True, kw_only=True)
class Ports:
    """Hands out ports, remembering those of last time: clients may still know the broker's."""

    remembered: Mapping[str, int]
    _taken: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, home: Home) -> "Ports":
        """Start from what was written last time, if anything."""
        remembered: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError):
            raw = json.loads(home.ports_file.read_text(encoding="utf-8"))
            if isinstance(raw, dict):
                remembered = {k: v for k, v in raw.items() if isinstance(v, int)}
        return cls(remembered=remembered)

    def take(self, name: str, *, setting: str, wanted: int, host: str = "127.0.0.1") -> int:
        """Return the port that was asked for; or for 0 last time's, else any free one.

        Raises:
            StackError: the port is taken; names the setting.
        """
        if wanted:
            problem = _problem(host, wanted)
            if wanted in self._taken.values():
                problem = "another server of this stack has it"
            if problem:
                raise StackError(
                    f"Port {wanted} for {name} cannot be used: {problem}. Stop the program that "
                    f"listens there, or set {setting} to another port (0 takes a free one)."
                )
            self._taken[name] = wanted
        else:
            self._taken[name] = self._free(name, host)
        return self._taken[name]

    def save(self, home: Home) -> None:
        """Remember them for next time."""
        text = json.dumps({**self.remembered, **self._taken})
        home.ports_file.write_text(f"{text}\n", encoding="utf-8")

    def _free(self, name: str, host: str) -> int:
        last = self.remembered.get(name)
        if last is not None and last not in self._taken.values() and not _problem(host, last):
            return last
        avoided = {*self._taken.values(), *self.remembered.values()}
        # Chance only spreads the tries; nobody gains from predicting them.
        for port in random.sample(_RANGE, _TRIES):
            if port not in avoided and not _problem(host, port):
                return port
        raise StackError(f"No free port was found for {name} between {_RANGE[0]} and {_RANGE[-1]}.")


def _problem(host: str, port: int) -> str | None:
    """Return why a server could not listen there, or None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: a port whose last connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return None
