"""Answer a canary's controller by script: each analysis and metric has its answers, one after the other.

It runs in a pod of its own, with nothing but Python's own library.
"""

from __future__ import annotations

import http.server
import json
import re
import sys
import threading
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PORT = 8080
QUERY, WEB, ASKED = "/api/v1/query", "/web/", "/asked/"
# How the query of an analysis names it: its number, how often it was begun, and the metric.
NAMED = re.compile(r'run="c(\d+)-(\d+)",metric="(\w+)"')
# An answer without a status is none: the connection is closed.
NO_STATUS = 0


class Script:
    """What is answered to whom; the last answer of a metric is given again and again. What was given is kept."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        """Take replies by name, `[status, body]`, and for each analysis the names of each metric's."""
        self.replies: Mapping[str, Sequence[Any]] = data["replies"]
        self.cases: Mapping[str, Mapping[str, Sequence[str]]] = data["cases"]
        self.given: dict[str, list[tuple[str, float, str]]] = {}
        self._lock = threading.Lock()

    def next(self, number: str, attempt: str, metric: str) -> tuple[int, str]:
        """Return the next answer to a metric of an analysis."""
        with self._lock:
            given = self.given.setdefault(f"c{number}-{attempt}", [])
            names = self.cases.get(number, {}).get(metric, ())
            if not names:
                return 404, "no such metric"
            name = names[min(sum(one == metric for one, _, _ in given), len(names) - 1)]
            given.append((metric, time.time(), name))
        status, body = self.replies[name]
        return int(status), str(body)


def server(script: Script, port: int = PORT, host: str = "") -> http.server.ThreadingHTTPServer:
    """Make a server that answers by a script; `/asked/RUN` tells what an analysis was given, and when."""

    class Handler(http.server.BaseHTTPRequestHandler):
        # One connection for each question: a client that asks on an old one might ask twice.
        protocol_version = "HTTP/1.0"

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            found = NAMED.search(urllib.parse.parse_qs(text).get("query", [""])[0])
            if self.path != QUERY or not found:
                self._answer(404, "no such page")
                return
            self._answer(*script.next(*found.groups()))

        def do_GET(self) -> None:
            if self.path.startswith(ASKED):
                self._answer(200, json.dumps(script.given.get(self.path.removeprefix(ASKED), [])))
            elif self.path.startswith(WEB):
                run, _, metric = self.path.removeprefix(WEB).partition("/")
                number, _, attempt = run.removeprefix("c").partition("-")
                self._answer(*script.next(number, attempt, metric))
            else:
                # The kubelet, which asks whether it is ready.
                self._answer(200, "")

        def _answer(self, status: int, body: str) -> None:
            if status == NO_STATUS:
                return
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return http.server.ThreadingHTTPServer((host, port), Handler)


if __name__ == "__main__":
    server(Script(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))).serve_forever()
