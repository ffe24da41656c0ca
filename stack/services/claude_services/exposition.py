"""Show the metrics on a port of their own, from a thread: they can be read while the service is too busy to answer."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, REGISTRY, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

# The library's own server ends the connection and the thread after each answer, compresses what stays on one machine,
# and looks twice a second whether it should end: every 2 s for each pod that is most of what an idle service costs.
NEVER = 3600.0


class _Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        text = generate_latest()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


def serve(port: int) -> ThreadingHTTPServer:
    """Answer every GET with the metrics, until the process ends; what says nothing of a service is left out."""
    disable_created_metrics()
    for collector in (GC_COLLECTOR, PLATFORM_COLLECTOR):
        REGISTRY.unregister(collector)
    server = ThreadingHTTPServer(("0.0.0.0", port), _Page)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(NEVER,), daemon=True).start()
    return server
