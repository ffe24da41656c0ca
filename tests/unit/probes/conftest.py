"""A real HTTP server that answers what a test puts into it, as the API server or Prometheus would."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.unit.stack.scraped import Series, missed

NO_SERIES = (200, {"status": "success", "data": {"resultType": "vector", "result": []}})


@dataclass
class Server:
    port: int = 0
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    # What is answered before that, in turn; a status of 0 is none.
    first: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    hang_up: bool = False
    # What Prometheus holds; a query that names anything else finds nothing. None is no matter.
    held: list[Series] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, query: str = "") -> tuple[int, Any]:
        """Return what is answered next."""
        if self.held is not None and missed(query, self.held):
            return NO_SERIES
        if self.first.get(path):
            return self.first[path].pop(0)
        return self.answers.get(path, (404, {"kind": "Status", "reason": "NotFound"}))

    def samples(self, *pairs: tuple[dict[str, str], str]) -> None:
        """Answer every instant query with these series."""
        result = [{"metric": labels, "value": [1700000000, value]} for labels, value in pairs]
        self.answers["/api/v1/query"] = (200, {"status": "success", "data": {"resultType": "vector", "result": result}})


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            found.asked.append((parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()}))
            found.hosts.append(self.headers.get("host", ""))
            status, body = found.answer(parts.path, found.asked[-1][1].get("query", ""))
            if found.hang_up or not status:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

        def do_CONNECT(self) -> None:
            found.asked.append(("CONNECT", {}))
            self.send_error(502)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def api(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server as the cluster of this run."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "other",
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "run", "context": {"cluster": "c", "user": "u"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("HARNESS_KUBECONFIG", str(path))
    monkeypatch.setenv("HARNESS_CONTEXT", "run")
    return server


@pytest.fixture
def prometheus(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server as the Prometheus of this run."""
    monkeypatch.setenv("HARNESS_PROMETHEUS", server.url)
    return server
