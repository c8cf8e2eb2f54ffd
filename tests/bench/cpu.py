"""Who spends the CPU while something is measured."""

from collections.abc import Mapping

import psutil

__all__ = ["CpuMeter"]


class CpuMeter:
    """Seconds of CPU that processes spend from here on.

    Args:
        services: pids by name; their children count apart from them, living or not.
        client: the pid of who asks, whose children do not count.
    """

    def __init__(self, services: Mapping[str, int], *, client: int) -> None:
        self._services = {name: psutil.Process(pid) for name, pid in services.items()}
        self._client = psutil.Process(client)
        self._begun = self._now()

    def spent(self) -> dict[str, float]:
        """Return the seconds by name, a service's children as ``name children``."""
        now = self._now()
        spent = {name: round(now[name] - self._begun[name], 2) for name in now}
        return {name: seconds for name, seconds in spent.items() if seconds > 0}

    def _now(self) -> dict[str, float]:
        now = {"client": _own(self._client)}
        for name, process in self._services.items():
            now[name] = _own(process)
            living = sum(map(_whole, process.children(recursive=True)))
            now[f"{name} children"] = living + _ended(process)
        return now


def _own(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _ended(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.children_user + times.children_system)


def _whole(process: psutil.Process) -> float:
    try:
        return _own(process) + _ended(process)
    except psutil.NoSuchProcess:
        return 0.0  # ended just now
