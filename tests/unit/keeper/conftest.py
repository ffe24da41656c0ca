"""The real keeper program in a process of its own, against a Docker API that lives in this one."""

from __future__ import annotations

import http.server
import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CLUSTER = "test-cluster"


class FakeDocker:
    """Containers with a state, and execs whose answers a test decides; `speaks` are its first and last API version."""

    def __init__(self) -> None:
        self.speaks = ((1, 24), (1, 47))
        self.changed = threading.Condition()
        self.containers: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.execs: list[list[str]] = []
        self.exit = lambda argv: 0
        self.broken: set[str] = set()
        for name in ("node-a", "node-b", "control-plane"):
            self.add(name)

    def add(self, name: str, cluster: str = CLUSTER) -> None:
        self.containers[name] = {
            "Config": {"Labels": {"io.x-k8s.kind.cluster": cluster}},
            "State": {"Paused": False, "Running": True},
            "NetworkSettings": {"Networks": {"kind": {"IPAddress": "198.51.100.7"}}},
        }

    def state(self, name: str) -> dict[str, bool]:
        return self.containers[name]["State"]

    def wait(self, true: Any, seconds: float = 30) -> None:
        """Wait until something that a call changed is so."""
        with self.changed:
            assert self.changed.wait_for(true, seconds), (self.calls, self.containers)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        with self.changed:
            version, path = self._version(path)
            self.calls.append(f"{method} {path}")
            found = self._refused(version) or self._answer(path.split("?")[0].strip("/").split("/"), body)
            self.changed.notify_all()
            return found

    def _version(self, path: str) -> tuple[tuple[int, ...], str]:
        found = re.match(r"/v(\d+)\.(\d+)(/.*)", path)
        return ((int(found[1]), int(found[2])), found[3]) if found else (self.speaks[1], path)

    def _refused(self, version: tuple[int, ...]) -> tuple[int, Any] | None:
        """Refuse a version in Docker's words."""
        (first, last), (told, least, most) = self.speaks, (".".join(map(str, one)) for one in (version, *self.speaks))
        why = ""
        if version < first:
            why = f"old. Minimum supported API version is {least}, please upgrade your client to a newer version"
        if version > last:
            why = f"new. Maximum supported API version is {most}"
        return (400, {"message": f"client version {told} is too {why}"}) if why else None

    def _answer(self, words: list[str], body: Any) -> tuple[int, Any]:
        if words[0] == "_ping":
            return 200, b"OK"
        if words[0] == "exec":
            argv = self.execs[int(words[1])]
            return (200, b"\x01\0\0\0\0\0\0\x03out") if words[2] == "start" else (200, {"ExitCode": self.exit(argv)})
        name, verb = urllib.parse.unquote(words[1]), words[2]
        if name not in self.containers:
            return 404, {"message": "no such container"}
        if verb == "json":
            return 200, self.containers[name]
        if verb == "exec":
            self.execs.append(body["Cmd"])
            return 201, {"Id": str(len(self.execs) - 1)}
        if verb in self.broken:
            return 500, {"message": f"{verb} is broken"}
        flag, value = {"pause": ("Paused", True), "unpause": ("Paused", False)}.get(verb, ("Running", verb == "start"))
        self.state(name)[flag] = value
        return 204, None


class _Handler(http.server.BaseHTTPRequestHandler):
    fake: FakeDocker

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, answer = self.fake.answer(self.command, self.path, body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode() if answer is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _serve

    def address_string(self) -> str:
        return "keeper"

    def log_message(self, *words: object) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[FakeDocker]:
    fake = FakeDocker()
    handler = type("Handler", (_Handler,), {"fake": fake})
    with _Server(str(tmp_path / "docker.sock"), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield fake
        server.shutdown()
        thread.join()


class Resident:
    """The keeper's process; starting it again finds the same ledger."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "keeper.sock"
        self.ledger = folder / "ledger.json"
        self.in_flight = "0.05"
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "CLUSTER": CLUSTER,
            "CONTROL_PLANE": "control-plane",
            "DOCKER_SOCKET": str(self._folder / "docker.sock"),
            "KEEPER_SOCKET": str(self.socket),
            "KEEPER_LEDGER": str(self.ledger),
            "KEEPER_VERSION": "v1",
            "KEEPER_PATIENCE": "1",
            "KEEPER_IN_FLIGHT": self.in_flight,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.keeper.resident"], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        for line in self._process.stdout:
            if line.endswith("listens\n"):
                return
        raise AssertionError("the keeper did not start")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def keeper(docker: FakeDocker, tmp_path: Path) -> Iterator[Resident]:
    resident = Resident(tmp_path)
    resident.start()
    yield resident
    resident.kill()
