"""As much of an apiserver as a Lease and an Event need, with its rule about resourceVersion."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_LEASES = re.compile(r"^/apis/coordination\.k8s\.io/v1/namespaces/([^/]+)/leases(?:/([^/]+))?$")
_EVENTS = re.compile(r"^/api/v1/namespaces/([^/]+)/events$")
_MICRO_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$")


class ApiServerDouble:
    """Serves on loopback for the length of a block."""

    def __init__(self) -> None:
        self.leases: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.refuses: int | None = None
        """A status that every request is answered with."""
        self.meddles = 0
        """How often somebody else changes a Lease just before it is replaced."""
        self._version = 0
        self._guard = threading.Lock()
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(*double.answer("GET", self.path, None))

            def do_POST(self) -> None:
                self._answer(*double.answer("POST", self.path, self._body()))

            def do_PUT(self) -> None:
                self._answer(*double.answer("PUT", self.path, self._body()))

            def log_message(self, *_: object) -> None:
                return

            def _body(self) -> dict[str, Any]:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                found: dict[str, Any] = json.loads(raw)
                return found

            def _answer(self, status: int, body: dict[str, Any]) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        with self._guard:
            if self.refuses is not None:
                return _status(self.refuses, "refused")
            lease, event = _LEASES.match(path), _EVENTS.match(path)
            if event and body is not None:
                self.events.append(body)
                return 201, body
            if lease is None:
                return _status(404, path)
            return self._lease(method, lease[2], body)

    def _lease(
        self, method: str, name: str | None, body: dict[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        known = self.leases.get(str(name))
        if body is None:
            return (200, known) if known else _status(404, "not found")
        times = (body["spec"]["acquireTime"], body["spec"]["renewTime"])
        if not all(_MICRO_TIME.match(time) for time in times):
            return _status(400, f"no MicroTime: {times}")
        if method == "POST":
            return self._create(str(body["metadata"]["name"]), body)
        return self._replace(str(name), body) if known else _status(404, "not found")

    def _create(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if name in self.leases:
            return _status(409, "already exists")
        return 201, self._store(name, body)

    def _replace(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        known = self.leases[name]
        if self.meddles:
            self.meddles -= 1
            known["metadata"].setdefault("labels", {})["somebody"] = "else"
            known = self._store(name, known)
        if body["metadata"].get("resourceVersion") != known["metadata"]["resourceVersion"]:
            return _status(409, "the object has been modified")
        return 200, self._store(name, body)

    def _store(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        stored: dict[str, Any] = json.loads(json.dumps(body))
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.leases[name] = stored
        return stored


def _status(code: int, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "status": "Failure", "code": code, "message": message}
