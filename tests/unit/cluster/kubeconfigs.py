"""Kubeconfigs with two contexts, and one thing about them changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.cluster import kubeconfig
from harness.cluster.kubeconfig.credentials import Credentials

EXEC = {"command": "/nowhere", "apiVersion": "client.authentication.k8s.io/v1beta1"}
DOCUMENT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "staging",
    "contexts": [
        {"name": "staging", "context": {"cluster": "one", "user": "me", "namespace": "shop"}},
        {"name": "other", "context": {"cluster": "two", "user": "nobody"}},
    ],
    "clusters": [
        {"name": "one", "cluster": {"server": "https://one:6443/"}},
        {"name": "two", "cluster": {"server": "http://two", "insecure-skip-tls-verify": True}},
    ],
    "users": [{"name": "me", "user": {"token": "secret"}}],
}


def write(folder: Path, name: str = "config", **changes: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**DOCUMENT, **changes}))
    return path


def user(folder: Path, **fields: Any) -> Path:
    return write(folder, users=[{"name": "me", "user": fields}])


def cluster(folder: Path, **fields: Any) -> Path:
    return write(folder, clusters=[{"name": "one", "cluster": {"server": "https://one:6443", **fields}}])


def bearer(access: kubeconfig.Access) -> str:
    return Credentials(access).signature().authorization.removeprefix("Bearer ")
