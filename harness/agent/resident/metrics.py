"""Tell Prometheus what the agent does, the kubelet that it lives, and whoever plans a run what this node offers."""

from __future__ import annotations

import http.server
import json
import resource
import socket
import socketserver
from collections.abc import Callable
from typing import Any

from harness.agent.resident.healing import Agent

PREFIX = "chaos_agent"


def render(agent: Agent, answers: Callable[[], bool]) -> str:
    """Write all metrics in Prometheus's text format."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    facts = [worker.facts for worker in agent.workers().values()]
    gauges: dict[str, float] = {
        "faults_owed": len(agent.ledger.faults()),
        "workers": len(facts),
        "packets_seen": sum(one.get("seen", 0) for one in facts),
        "packets_missed": sum(one.get("missed", 0) for one in facts),
        "api_answers": answers(),
        "max_resident_bytes": usage.ru_maxrss * 1024,
    }
    counters = {**agent.counts, "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3)}
    lines = [f"# TYPE {PREFIX}_{name} gauge\n{PREFIX}_{name} {value:g}" for name, value in gauges.items()]
    lines += [
        f"# TYPE {PREFIX}_{name}_total counter\n{PREFIX}_{name}_total {value:g}" for name, value in counters.items()
    ]
    return "\n".join(lines) + "\n"


def server(
    port: int, agent: Agent, answers: Callable[[], bool], offers: Callable[[], Any] = dict
) -> http.server.ThreadingHTTPServer:
    """Return a server of what is asked of an agent, which is not running yet."""
    pages: dict[str, Callable[[], str]] = {
        "/metrics": lambda: render(agent, answers),
        "/healthz": lambda: "ok\n",
        "/offers": lambda: json.dumps(offers()) + "\n",
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            body = (page() if page else f"there are {', '.join(pages)}\n").encode()
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing: scrapes are no news."""

    return _Server(("", port), Handler)


class _Server(http.server.ThreadingHTTPServer):
    """One that the kubelet reaches by whichever kind of address the pod has."""

    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not its parent's: that asks the DNS for a name that nobody needs.
        socketserver.TCPServer.server_bind(self)
