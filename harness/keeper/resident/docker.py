"""The few calls of the Docker Engine API that heal, and the operations a ledger may hold."""

from __future__ import annotations

import http.client
import json
import re
import socket
import urllib.parse
from typing import Any

Op = dict[str, Any]
HOST_LEVEL = ("unpause", "start")
OPS = (*HOST_LEVEL, "pause", "stop", "exec")
CLUSTER_LABEL = "io.x-k8s.kind.cluster"
DOCKER_SECONDS = 30.0
PING_SECONDS = 2.0
OUTPUT_BYTES = 65536
# Of Docker 25: 29 takes none older, and what is asked for here was the same in 20.10.
VERSION = "1.44"
_OTHER_VERSION = re.compile(rb"supported API version is (\d+\.\d+)")


class Refused(Exception):
    """An answer that says no: its code, what, and why."""

    def __init__(self, code: str, what: str, why: str = "", **more: Any) -> None:
        super().__init__(f"{what}: {why}" if why else what)
        self.answer = {"ok": False, "error": code, "what": what, "why": why, **more}


def check(ops: Any) -> list[Op]:
    """Return the operations when every one has the shape the keeper knows; raises Refused."""
    for op in ops if isinstance(ops, list) else [ops]:
        if not _known(op):
            raise Refused("refused", "not an operation the keeper knows", json.dumps(op)[:200])
    return list(ops)


def _known(op: Any) -> bool:
    if not isinstance(op, dict) or op.get("op") not in OPS or not isinstance(op.get("container"), str):
        return False
    argv = op.get("argv")
    return op["op"] != "exec" or (isinstance(argv, list) and bool(argv) and all(isinstance(word, str) for word in argv))


class Docker:
    """The few calls of the Docker Engine API that heal."""

    def __init__(self, path: str, cluster: str) -> None:
        self.path, self.cluster = path, cluster
        self._version = VERSION

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Send one request and return status and body; raises Refused when no answer comes."""
        status, data = self._send(method, f"/v{self._version}{path}", body)
        other = _OTHER_VERSION.search(data) if status == 400 else None
        if other is None:
            return status, data
        # Nothing was done: this Docker is older, or too new, and says what it takes. It may be another than before.
        self._version = other[1].decode()
        return self._send(method, f"/v{self._version}{path}", body)

    def _send(self, method: str, path: str, body: Any = None, seconds: float = DOCKER_SECONDS) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("docker", timeout=seconds)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(seconds)
        try:
            connection.sock.connect(self.path)
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            return response.status, response.read(OUTPUT_BYTES) if path.endswith("/start") else response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Refused("failed", f"Docker did not answer {method} {path}", repr(error)) from error
        finally:
            connection.close()

    def answers(self) -> bool:
        """Say whether the daemon answers; one that was restarted has another socket than the one that was mounted."""
        try:
            status, _ = self._send("GET", "/_ping", seconds=PING_SECONDS)
        except Refused:
            return False
        return status == 200

    def can(self, kind: str) -> bool:
        """Say that it can: Docker has whatever a keeper is asked for."""
        return kind in OPS

    def inspect(self, container: str) -> dict[str, Any] | None:
        """Describe one container of our cluster; None when there is none by that name."""
        status, data = self.ask("GET", f"/containers/{urllib.parse.quote(container, safe='')}/json")
        if status == 404:
            return None
        found = self._json(status, data, container)
        if (found.get("Config", {}).get("Labels") or {}).get(CLUSTER_LABEL) != self.cluster:
            raise Refused("refused", f"{container} is no node of cluster {self.cluster}")
        state = found.get("State", {})
        networks = found.get("NetworkSettings", {}).get("Networks") or {}
        return {
            "paused": bool(state.get("Paused")),
            "running": bool(state.get("Running")),
            "addresses": sorted(net["IPAddress"] for net in networks.values() if net.get("IPAddress")),
        }

    def perform(self, op: Op) -> dict[str, Any]:
        """Do one operation and look whether it is done; raises Refused when it is not. Safe to repeat."""
        container, kind = op["container"], op["op"]
        state = self.inspect(container)
        if state is None:
            raise Refused("gone", f"there is no container {container}")
        if kind == "exec":
            if not state["running"] and op.get("stopped") == "healed":
                return {"exit": 0, "output": "the container is stopped"}
            result = self.execute(container, op["argv"])
            if result["exit"] != 0:
                what = f"{op['argv'][0]} in {container} ended with {result['exit']}"
                raise Refused("failed", what, result["output"].strip()[-400:])
            return result
        flag, want = ("paused", kind == "pause") if kind in ("pause", "unpause") else ("running", kind == "start")
        if state[flag] == want:
            return {"already": True}
        path = f"/containers/{urllib.parse.quote(container, safe='')}/{kind}"
        status, data = self.ask("POST", path + ("?t=0" if kind == "stop" else ""))
        state = self.inspect(container)
        if state is None or state[flag] != want:
            why = f"Docker answered {status} {data[:300].decode(errors='replace')}"
            raise Refused("failed", f"{kind} of {container} had no effect", why)
        return {}

    def execute(self, container: str, argv: list[str]) -> dict[str, Any]:
        """Run a command in a container and return its exit status and output."""
        body = {"AttachStdout": True, "AttachStderr": True, "Tty": False, "Cmd": argv}
        status, data = self.ask("POST", f"/containers/{urllib.parse.quote(container, safe='')}/exec", body)
        made = self._json(status, data, container)
        status, stream = self.ask("POST", f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
        if status >= 300:
            self._json(status, stream, container)
        status, data = self.ask("GET", f"/exec/{made['Id']}/json")
        code = self._json(status, data, container).get("ExitCode")
        return {"exit": -1 if code is None else code, "output": demultiplex(stream).decode(errors="replace")}

    @staticmethod
    def _json(status: int, data: bytes, what: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(data or b"{}")
        except ValueError:
            found = {"message": data[:300].decode(errors="replace")}
        if status >= 300:
            code = "gone" if status == 404 else "failed"
            raise Refused(code, f"{what}: Docker answered {status}", str(found.get("message", "")))
        return found


def demultiplex(stream: bytes) -> bytes:
    """Take the frame headers out of what an exec without a terminal writes."""
    out, at = b"", 0
    while at + 8 <= len(stream):
        size = int.from_bytes(stream[at + 4 : at + 8], "big")
        out += stream[at + 8 : at + 8 + size]
        at += 8 + size
    return out
