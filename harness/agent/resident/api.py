"""Ask the API server as this pod's service account."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECONDS = 10.0
WATCH_SECONDS = 240
LINE_BYTES = 4 << 20
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 3), (socket.TCP_KEEPCNT, 3))


class Unreachable(Exception):
    """No answer came."""


class Answered(Exception):
    """The API server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """One API server; every call has a connection of its own, so that one that hangs holds nothing else up."""

    def __init__(self, host: str, port: int, account: Path | None = ACCOUNT) -> None:
        """Without an account it speaks plainly, to a server that a test started."""
        self._host, self._port, self._account = host, port, account
        self._trust = ssl.create_default_context(cafile=str(account / "ca.crt")) if account else None

    @classmethod
    def of_this_pod(cls) -> Api:
        """Return the API server that this pod was told."""
        return cls(os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"]))

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Read an object or a list; raises Unreachable, Answered."""
        return self._ask("GET", path + _query(query))

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Merge a change into an object; raises Unreachable, Answered."""
        return self._ask("PATCH", path, body)

    def watch(self, path: str, version: str, **query: str) -> Iterator[dict[str, Any]]:
        """Go through the changes since a version until the server ends that; raises Unreachable, Answered."""
        wanted = {**query, "watch": "1", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        connection = self._connect(WATCH_SECONDS + SECONDS)
        try:
            response = self._send(connection, "GET", path + _query(wanted), None)
            while line := response.readline(LINE_BYTES):
                yield json.loads(line)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(str(error)) from None
        finally:
            connection.close()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        connection = self._connect(SECONDS)
        try:
            found: dict[str, Any] = json.loads(self._send(connection, method, path, body).read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(str(error)) from None
        finally:
            connection.close()
        return found

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        if self._trust is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=seconds)
        return http.client.HTTPSConnection(self._host, self._port, timeout=seconds, context=self._trust)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: dict[str, Any] | None
    ) -> http.client.HTTPResponse:
        headers = {"Accept": "application/json", "Content-Type": "application/merge-patch+json"}
        if self._account:
            # Read anew for each call: the kubelet renews it.
            headers["Authorization"] = f"Bearer {(self._account / 'token').read_text().strip()}"
        connection.connect()
        # A server that vanished without a word is noticed after a while, also where nothing is to be sent.
        for option, value in _KEEPALIVE:
            connection.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        if response.status >= 300:
            raise Answered(response.status, response.read(2000).decode(errors="replace"))
        return response


def _query(fields: dict[str, str]) -> str:
    return "?" + urllib.parse.urlencode(fields) if fields else ""
