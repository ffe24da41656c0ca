"""Where the API server keeps things; apart from its client, so that to name a path loads none."""

from __future__ import annotations


def pods(namespace: str, name: str | None = None) -> str:
    """Return the API path of a namespace's pods, or of one pod."""
    return _path(f"/api/v1/namespaces/{namespace}/pods", name)


def nodes(name: str | None = None) -> str:
    """Return the API path of the nodes, or of one node."""
    return _path("/api/v1/nodes", name)


def deployments(namespace: str, name: str | None = None) -> str:
    """Return the API path of a namespace's Deployments, or of one."""
    return _path(f"/apis/apps/v1/namespaces/{namespace}/deployments", name)


def namespace(name: str) -> str:
    """Return the API path of a namespace."""
    return f"/api/v1/namespaces/{name}"


def core(namespace: str, plural: str, name: str | None = None) -> str:
    """Return the API path of a collection of the core group in a namespace, or of one object there."""
    return _path(f"/api/v1/namespaces/{namespace}/{plural}", name)


def apps(namespace: str, plural: str, name: str | None = None) -> str:
    """Return the API path of a collection of group apps in a namespace, or of one object there."""
    return _path(f"/apis/apps/v1/namespaces/{namespace}/{plural}", name)


def _path(collection: str, name: str | None) -> str:
    return f"{collection}/{name}" if name else collection
