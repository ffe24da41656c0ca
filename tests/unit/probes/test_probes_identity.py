"""Probes and foreign steps ask as the run does: whatever of a kubeconfig says who we are reaches the server."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.probes import kubernetes as probes

AS = {"as": "sömebody", "as-groups": ["a", "b"], "as-user-extra": {"acme.com/k": ["v"]}}


class Server:
    """Say yes to everything and remember the headers."""

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append([(key.lower(), value) for key, value in self.headers.items()])
                body = json.dumps({"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": []}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def who(self) -> list[tuple[str, str]]:
        return [(key, value) for key, value in self.asked[-1] if key.startswith("impersonate")]


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.http.shutdown()
    found.http.server_close()
    thread.join()


@pytest.fixture
def config(server: Server, tmp_path: Path) -> Path:
    content = {
        "current-context": "other",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.http.server_address[1]}"}}],
        "users": [{"name": "u", "user": AS}],
        "contexts": [{"name": "run", "context": {"cluster": "c", "user": "u"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


WHO = [
    ("impersonate-user", "sömebody".encode().decode("latin-1")),
    ("impersonate-group", "a"),
    ("impersonate-group", "b"),
    ("impersonate-extra-acme.com%2fk", "v"),
]


@pytest.mark.case(7, "impersonation, in probes", "asked for by the official client, too")
def test_a_probe_asks_as_whom_the_kubeconfig_names(
    server: Server, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_KUBECONFIG", str(config))
    monkeypatch.setenv("HARNESS_CONTEXT", "run")
    assert probes.nodes() == []
    assert server.who() == WHO


def test_a_proxy_of_the_kubeconfig_is_told_who_asks(
    server: Server, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load(config.read_text())
    proxy = f"http://some%40body:p%3Aw@127.0.0.1:{server.http.server_address[1]}"
    content["clusters"][0]["cluster"] = {"server": "http://api.test", "proxy-url": proxy}
    config.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("HARNESS_KUBECONFIG", str(config))
    monkeypatch.setenv("HARNESS_CONTEXT", "run")
    assert probes.nodes() == []
    assert ("proxy-authorization", f"Basic {base64.b64encode(b'some@body:p:w').decode()}") in server.asked[-1]
    assert ("host", "api.test") in server.asked[-1]


FOREIGN = """
import os
from harness.steps.__main__ import _name_the_cluster
_name_the_cluster()
from kubernetes import client, config
config.load_kube_config(context=os.environ["KUBERNETES_CONTEXT"])
client.CoreV1Api().list_node()
try:
    from kubernetes.stream import stream
    stream(client.CoreV1Api().connect_get_namespaced_pod_exec, "p", "n", command="id")
except client.ApiException as error:
    print(error.reason)
"""


@pytest.mark.case(7, "impersonation, in foreign steps", "theirs too, and a stream that cannot have it is refused")
def test_a_foreign_step_asks_as_whom_the_kubeconfig_names(server: Server, config: Path) -> None:
    names = {"HARNESS_KUBECONFIG": str(config), "HARNESS_CONTEXT": "run"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HARNESS", "KUBE"))}
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN], env={**environment, **names}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert server.who() == WHO
    assert "leave out impersonation" in done.stdout
