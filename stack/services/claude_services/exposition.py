"""Show metrics and recorded calls on a port of their own, from a thread.

They can be read while the service is too busy to answer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, REGISTRY, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

# The library's own server ends the connection and the thread after each answer, compresses what stays on one machine,
# and looks twice a second whether it should end: every 2 s for each pod that is most of what an idle service costs.
NEVER = 3600.0
CALLS = "/debug/calls"
Told = Callable[[float], Mapping[str, Any]]
"""What is recorded of calls, from a moment in wall-clock seconds on."""


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, told: Told | None, *connection: Any) -> None:
        self._told = told
        super().__init__(*connection)

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == CALLS and self._told:
            self._calls(self._told, parse_qs(asked.query).get("since", ["0"])[0])
        else:
            self._answer(CONTENT_TYPE_PLAIN_0_0_4, generate_latest())

    def _calls(self, told: Told, since: str) -> None:
        try:
            moment = float(since)
        except ValueError:
            self.send_error(400, "since is a number of seconds")
            return
        self._answer("application/json", json.dumps(told(moment), separators=(",", ":")).encode())

    def _answer(self, kind: str, text: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


def serve(port: int, told: Told | None = None) -> ThreadingHTTPServer:
    """Answer every GET with the metrics, or with recorded calls where they are asked for, until the process ends.

    What says nothing of a service is left out of the metrics.
    """
    disable_created_metrics()
    for collector in (GC_COLLECTOR, PLATFORM_COLLECTOR):
        REGISTRY.unregister(collector)
    server = ThreadingHTTPServer(("0.0.0.0", port), partial(_Page, told))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(NEVER,), daemon=True).start()
    return server
