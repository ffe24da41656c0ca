"""Pods, Deployments and Services of the report's own, and what runs in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# It answers as its caller asks it to: late, badly, or not at all; and it is as ready as it was told to be.
ECHO = """
import http.server, os, time
state = {"ready": "200"}
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        status = 200
        if self.path == "/health/ready":
            status = int(state["ready"])
        elif self.path == "/health/live":
            status = int(os.environ.get("LIVE", "200"))
        elif self.path.startswith("/be-ready/"):
            state["ready"] = self.path.rpartition("/")[2]
        time.sleep(float(self.headers.get("x-wait", "0")))
        if self.headers.get("x-drop"):
            self.close_connection = True
            return
        body = os.environ["NAME"].encode()
        self.send_response(status)
        self.send_header("x-served-by", os.environ["NAME"])
        self.send_header("x-peer", str(self.client_address[1]))
        self.send_header("x-protocol", self.request_version)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8080), Echo).serve_forever()
"""
# Asks a URL ($1) with a method ($2), and prints the status and who answered, or what came instead.
CALL = """
import http.client, sys, urllib.request, urllib.error
asked = urllib.request.Request(sys.argv[1], method=sys.argv[2])
try:
    got = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=3)
except urllib.error.HTTPError as error:
    got = error
except (OSError, http.client.HTTPException) as error:
    got = None
    print("0", type(getattr(error, "reason", error)).__name__)
if got is not None:
    print(got.status, got.headers.get("x-served-by", "nobody"))
"""

Object = dict[str, Any]


def echo(image: str, name: str, labels: Mapping[str, str] | None = None, **spec: Any) -> Object:
    """Describe a pod that answers as it is asked to, by its own name; `container` goes into its container."""
    about = {
        **_container("echo", image),
        "command": ["python3", "-u", "-c", ECHO],
        "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1},
    }
    return pod(name, labels, containers=[{**about, **spec.pop("container", {})}], **spec)


def service_pod(image: str, name: str, labels: Mapping[str, str], **environment: str) -> Object:
    """Describe a pod of the stack's own registry, which fails or is late as its environment says."""
    told = {"POD_NAME": name, "DRAIN_SECONDS": "1", **environment}
    about = {
        **_container("registry", image),
        "args": ["registry"],
        "env": [{"name": key, "value": value} for key, value in told.items()],
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1},
    }
    return pod(name, labels, containers=[about])


def idle(image: str, name: str, labels: Mapping[str, str] | None = None, **spec: Any) -> Object:
    """Describe a pod that does nothing but ask for what `container` says; it ends at once."""
    about = {**_container("idle", image), "command": ["python3", "-c", "import time; time.sleep(3600)"]}
    return pod(name, labels, containers=[{**about, **spec.pop("container", {})}], **spec)


def _container(name: str, image: str) -> Object:
    requests = {"cpu": "10m", "memory": "32Mi"}
    return {"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "resources": {"requests": requests}}


def pod(name: str, labels: Mapping[str, str] | None = None, **spec: Any) -> Object:
    """Describe a pod that goes as soon as it is told to."""
    metadata = {"name": name, "labels": {"app": name, **(labels or {})}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"terminationGracePeriodSeconds": 1, **spec},
    }


def deployment(name: str, replicas: int, template: Object, **spec: Any) -> Object:
    """Describe a Deployment of pods like this one."""
    labels = {"app": name}
    about = {"metadata": {"labels": {**template["metadata"]["labels"], **labels}}, "spec": template["spec"]}
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": about, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def service(name: str, selector: Mapping[str, str], target: int = 8080) -> Object:
    """Describe a Service with one port, 80."""
    ports = [{"name": "http", "port": 80, "targetPort": target, "protocol": "TCP"}]
    spec = {"selector": dict(selector), "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
